"""Numbers of the format, and the tables that the kernels of mixtures read, as tensors on a device."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import _native

__all__ = [
    "BYTES_OF_TWO",
    "BYTES_PER_LANE",
    "COST_BITS",
    "CURVE_INTEGERS",
    "LOWER_BOUND",
    "MAX_LANES",
    "RANGES",
    "constants",
    "uniform_curve",
]

#: States of a stream, at most, and the least that one has between symbols.
MAX_LANES, LOWER_BOUND = 64, 1 << 16
#: A stream has a lane for each of so many bytes, but two from `BYTES_OF_TWO` bytes on (`rust/src/ans/encoder.rs`).
BYTES_PER_LANE, BYTES_OF_TWO = 2000, 400
#: Costs are in units of 2^-COST_BITS bits.
COST_BITS = 26

#: Integers of a curve, and curves of a context: one for each octave of scale.
CURVE_INTEGERS, RANGES = 64, 8
#: The edges of a curve's bins (docs/format.md, section 5).
EDGES = (0, 16, 128, 1024, 4096, 8192, 16384, 24576, 32768, 40960, 49152, 57344, 61440, 64512, 65408, 65520, 65536)
#: Where each table begins, as `kernels` names them: knots, growths, reciprocals, radii, weights, edges, bins, costs.
STARTS = (0, 2048, 4096, 4224, 4352, 4480, 4512, 8704)


@cache
def constants(device: torch.device) -> Tensor:
    """Return all tables of `kernels`, int32, at `STARTS`."""
    reciprocals, radii, weights, knots, growths = _native.pair_tables()
    bins = np.searchsorted(EDGES, 16 * np.arange(4097), "right").clip(1, 16) - 1
    costs = _native.cost_table()
    result = np.zeros(STARTS[-1] + len(costs), np.int32)
    tables: tuple[NDArray[Any], ...] = (knots, growths, reciprocals, radii, weights, np.array(EDGES), bins, costs)
    for start, table in zip(STARTS, tables, strict=True):
        result[start : start + len(table)] = table
    return torch.from_numpy(result).to(device)


@cache
def uniform_curve(device: torch.device) -> Tensor:
    """Return a curve before its first symbol: counts, values, slopes, symbols seen and fresh ones."""
    result = torch.zeros(CURVE_INTEGERS, dtype=torch.int32)
    result[16:33], result[33:49] = torch.tensor(EDGES), 1 << 15
    return result.to(device)
