"""Messages (docs/format.md, section 7) of symbols and distributions that are on a device, coded there.

The bytes are those of `_native.message_encode`. What is coded here are parts of messages that are not calibrated, under
rows of tables or under one family with a mean and a scale; whatever else there is, and whatever is wrong, is left to
Rust: then the result is None. Kernels, and so Triton, are imported where they are run.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import _native
from .constants import BYTES_OF_TWO, BYTES_PER_LANE, COST_BITS, LOWER_BOUND, MAX_LANES

__all__ = ["FEWEST_DECODED", "FEWEST_ENCODED", "Located", "Rows", "decode", "encode", "flat"]

#: Fewer symbols than these are coded faster by Rust on 16 cores, copies to the CPU and back included (docs/gpu.md). A
#: device takes nearly as long for few as for many, since it has a part of a message for each 192 KiB.
FEWEST_ENCODED, FEWEST_DECODED = 1 << 20, 1 << 24
#: Steps of a part, at most: a device takes longer for one than a CPU, and symbols that cost little have few lanes.
MOST_STEPS = 1 << 16
#: Buckets of tables, at most. (`decode_parts` has 27 bits for them.)
MOST_BUCKETS = 1 << 22
#: Elements of a program, where each is for itself.
BLOCK = 1024
#: Steps of an encoder whose slots are loaded at once.
STEPS = 16
#: Lanes of a program that encodes.
WARP = 32
# As in `rust/src/ans/parts.rs`.
PART_BYTES, MAX_PARTS, SMALL = 192 << 10, 1 << 16, 1 << 12
#: The bit of slots that are those of an escape.
ESCAPED = 1 << 15


class Located(NamedTuple):
    """Distributions of a family. mean, scale: contiguous floats `[n]`, or `[1]` for all elements, on one device."""

    family: str
    mean: Tensor
    scale: Tensor

    def device(self) -> torch.device:
        """Return where the parameters are."""
        return self.mean.device

    def tables(self) -> _native.Tables:
        """Return the tables that have all rows."""
        return _located_tables(self.family)

    def model(self) -> _native.Model:
        """Return a model of no elements, which has the fingerprint."""
        return _native.Model.located(self.family, 0, 0.0, 1.0)

    def find(self, n: int, facts: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows and shifts of `n` elements, int32; add the number of wrong parameters to the first of `facts`."""
        from . import message_kernels

        rows = torch.empty(n, dtype=torch.int32, device=self.device())
        shifts = torch.empty_like(rows)
        steps = (int(len(parameter) > 1) for parameter in (self.mean, self.scale))
        message_kernels.locate[_blocks(n)](
            self.mean, self.scale, rows, shifts, facts, n, *steps, BLOCK=BLOCK, num_warps=4
        )
        return rows, shifts


class Rows(NamedTuple):
    """Rows of tables. indexes: contiguous integers `[n]`, or `[1]` for all elements."""

    of: _native.Tables
    indexes: Tensor

    def device(self) -> torch.device:
        """Return where the indexes are."""
        return self.indexes.device

    def tables(self) -> _native.Tables:
        """Return the tables."""
        return self.of

    def model(self) -> _native.Model:
        """Return a model of no elements, which has the fingerprint."""
        return _native.Model.rows(self.of, np.zeros(0, np.uint8))

    def find(self, n: int, facts: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows and shifts of `n` elements, int32; add the number of wrong indexes to the first of `facts`."""
        valid = (self.indexes >= 0) & (self.indexes.long() < len(self.of))
        facts[0] += (~valid).sum()
        return torch.where(valid, self.indexes, 0).int().expand(n).contiguous(), torch.zeros(
            1, dtype=torch.int32, device=self.device()
        )


class _Layout(NamedTuple):
    """`Tables.layout` on a device: int32 rows, int32 boundaries, int64 buckets. places: of `decode_parts`, by row."""

    rows: Tensor
    boundaries: Tensor
    buckets: Tensor
    places: Tensor


class _Slots(NamedTuple):
    """The slots of symbols, as `message_kernels.find_slots` leaves them, and what the coder must know of them."""

    slots: Tensor
    distances: Tensor
    escapes: int
    cost: int


def flat(parameter: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """Return a parameter of symbols of this shape, contiguous `[n]`, or `[1]` if it is a number; else None."""
    if parameter.dtype in (torch.float16, torch.bfloat16):
        parameter = parameter.float()
    if not parameter.ndim:
        return parameter.reshape(1)
    try:
        return parameter.expand(shape).reshape(-1).contiguous()
    except RuntimeError:  # it does not broadcast
        return None


def encode(symbols: Tensor, parameters: Located | Rows) -> bytes | None:
    """Return the message of integers on a device, or None if Rust must make it, or say what is wrong.

    symbols: int8, uint8, int16, uint16, int32, uint32 or int64, of any shape, with parameters for each element.
    """
    n, layout = symbols.numel(), _layout_of(parameters)
    if layout is None or not n:
        return None
    with suppress(torch.cuda.OutOfMemoryError), _on(symbols.device):
        wide, wrong = _widen(symbols.reshape(-1))
        facts = torch.zeros(3, dtype=torch.int64, device=symbols.device)
        rows, shifts = parameters.find(n, facts)
        facts[0] += wrong
        found = _find_slots(wide, rows, shifts, layout, facts)
        if found is None:
            return None
        starts = part_starts(n, part_count(n, found.cost) if n > SMALL else 1)
        each = found.cost // (len(starts) - 1)
        lanes = [affordable_lanes(each, stop - start) for start, stop in pairwise(starts)]
        if _steps(starts, lanes) > MOST_STEPS:
            return None
        parts = _encode_parts(found, starts, lanes)
        total = int(wide.sum(dtype=torch.int64)) & 0xFFFFFFFF
        return _native.message_join(parts, total, parameters.model(), _name(symbols.dtype), True, tuple(symbols.shape))
    return None


def decode(data: bytes, own: Tensor | None, parameters: Located | Rows, dtype: str, n: int) -> Tensor | None:
    """Return the symbols of a message on the device of the parameters, `[n]`, or None if Rust must decode it.

    data: the message, whose head and hash are right, and which is not calibrated. own: the same on the device, if it is
    there already: contiguous uint8. dtype: that of the head.
    """
    layout = _layout_of(parameters)
    if layout is None or not n:
        return None
    heads, expected = _native.message_split(data)
    starts = part_starts(n, len(heads))
    if _steps(starts, [len(head[0]) for head in heads]) > MOST_STEPS:
        return None
    device = parameters.device()
    with suppress(torch.cuda.OutOfMemoryError), _on(device):
        facts = torch.zeros(1, dtype=torch.int64, device=device)
        rows, shifts = parameters.find(n, facts)
        if own is None:
            own = torch.from_numpy(np.frombuffer(data, np.uint8).copy()).to(device)
        intervals, flags = _decode_parts(own, heads, starts, rows, layout)
        from . import message_kernels

        wide = torch.empty(n, dtype=torch.int32, device=device)
        escaped = torch.empty(n, dtype=torch.int8, device=device)
        message_kernels.find_symbols[_blocks(n)](
            intervals, rows, shifts, layout.rows, wide, escaped, n, int(len(shifts) > 1), BLOCK=BLOCK, num_warps=4
        )
        outside = [head[1] for head in heads]
        facts[0] += flags.sum()
        wrong, escapes = torch.stack([facts[0], escaped.sum(dtype=torch.int64)]).tolist()
        if wrong or escapes != sum(map(len, outside)):
            return None
        if escapes and not _put_escapes(wide, escaped, outside, starts, rows, shifts, layout):
            return None
        symbols, fit = _narrow(wide, dtype)
        total, fits = torch.stack([wide.sum(dtype=torch.int64), fit.long()]).tolist()
        if fits and total & 0xFFFF == expected:
            return symbols
    return None


def part_starts(n: int, parts: int) -> list[int]:
    """Return where each of the parts of `n` elements begins, and where the last one ends."""
    blocks = -(-n // 64)
    return [min(blocks * i // parts * 64, n) for i in range(parts + 1)]


def part_count(n: int, cost: int) -> int:
    """Return the number of parts of `n` elements of this cost in all, 2^-26 bits each."""
    parts = max(1, min(cost // (PART_BYTES << (COST_BITS + 3)), n // 64, MAX_PARTS))
    return 1 << (parts.bit_length() - 1)


def affordable_lanes(cost: int, elements: int) -> int:
    """Return the number of lanes of a part of this cost."""
    size = cost >> (COST_BITS + 3)
    lanes = min(max(size // BYTES_PER_LANE, 1 if size < BYTES_OF_TWO else 2), MAX_LANES, max(elements, 1))
    return 1 << (lanes.bit_length() - 1)


def _find_slots(wide: Tensor, rows: Tensor, shifts: Tensor, layout: _Layout, facts: Tensor) -> _Slots | None:
    """Return the slots of symbols and their cost, in all; None if `facts` count anything that is wrong."""
    from . import message_kernels

    n = len(wide)
    blocks = -(-n // 64)
    exact, sample = n <= SMALL, max(1, -(-blocks // 64))
    slots, distances = torch.empty_like(wide), torch.empty(n, dtype=torch.int64, device=wide.device)
    message_kernels.find_slots[_blocks(n)](
        wide,
        rows,
        shifts,
        layout.rows,
        layout.boundaries,
        _costs(wide.device),
        slots,
        distances,
        facts,
        n,
        int(len(shifts) > 1),
        sample,
        EXACT=exact,
        BLOCK=BLOCK,
        num_warps=4,
    )
    wrong, escapes, cost = facts.tolist()
    if wrong:
        return None
    sampled = range(0, blocks, sample)
    count = 64 * len(sampled) - (64 * blocks - n if sampled[-1] == blocks - 1 else 0)
    return _Slots(slots, distances, escapes, cost if exact else cost * n // count)


def _encode_parts(
    found: _Slots, starts: list[int], lanes: list[int]
) -> list[tuple[list[int], NDArray[np.uint64], NDArray[np.uint16]]]:
    """Return the first states, the distances of escapes and the words of each part."""
    from . import message_kernels

    device, parts = found.slots.device, len(lanes)
    words = torch.empty_like(found.slots)
    states = torch.empty(parts, MAX_LANES, dtype=torch.int64, device=device)
    counts = torch.zeros(parts, MAX_LANES // WARP, dtype=torch.int32, device=device)
    message_kernels.encode_parts[(parts, -(-max(lanes) // WARP))](
        found.slots,
        torch.tensor(starts, device=device),
        torch.tensor(lanes, dtype=torch.int32, device=device),
        words,
        states,
        counts,
        V=WARP,
        U=STEPS,
        num_warps=1,
    )
    all_words = words[words >= 0].short().cpu().numpy().view(np.uint16)
    ends = np.cumsum(counts.sum(1).cpu().numpy())
    outside = np.zeros(0, np.uint64)
    escape_ends = np.zeros(parts, np.int64)
    if found.escapes:
        where = (found.slots & ESCAPED).nonzero().reshape(-1)
        outside = found.distances[where].cpu().numpy().astype(np.uint64)
        escape_ends = np.searchsorted(where.cpu().numpy(), starts[1:])
    return [
        (own[:count], out, part)
        for own, count, out, part in zip(
            states.tolist(), lanes, np.split(outside, escape_ends[:-1]), np.split(all_words, ends[:-1]), strict=True
        )
    ]


def _decode_parts(
    data: Tensor,
    heads: Sequence[tuple[list[int], NDArray[np.uint64], int, int]],
    starts: list[int],
    rows: Tensor,
    layout: _Layout,
) -> tuple[Tensor, Tensor]:
    """Return the interval of each element in its row, and for each part whether anything is wrong with it."""
    from . import message_kernels

    device, states = rows.device, np.full((MAX_LANES, len(heads)), LOWER_BOUND)
    for own, head in zip(states.T, heads):
        own[: len(head[0])] = head[0]
    lanes = torch.tensor([len(head[0]) for head in heads], dtype=torch.int32, device=device)
    intervals = torch.empty_like(rows)
    flags = torch.empty_like(lanes)
    message_kernels.decode_parts[(len(heads),)](
        data,
        torch.tensor([head[2:] for head in heads], device=device),
        torch.tensor(starts, device=device),
        lanes,
        torch.from_numpy(states).to(device),
        rows,
        layout.places.index_select(0, rows),
        layout.rows,
        layout.boundaries,
        layout.buckets,
        intervals,
        flags,
        num_warps=1,
    )
    return intervals, flags


def _put_escapes(
    wide: Tensor,
    escaped: Tensor,
    outside: Sequence[NDArray[np.uint64]],
    starts: list[int],
    rows: Tensor,
    shifts: Tensor,
    layout: _Layout,
) -> bool:
    """Fill in the symbols of escapes; return whether each part has as many as its stream, and all fit 32 bits."""
    where = escaped.nonzero().reshape(-1)
    ends = np.searchsorted(where.cpu().numpy(), starts[1:])
    distances = np.concatenate(outside)
    if ends.tolist() != np.cumsum([len(own) for own in outside]).tolist() or (distances >> np.uint64(40)).any():
        return False
    _, first, _, count, _ = layout.rows[rows[where].long()].long().T.cpu().numpy()
    half = (distances >> np.uint64(1)).astype(np.int64)
    symbols = first + np.where(distances & np.uint64(1), -1 - half, half + count)
    if ((symbols < -(2**31)) | (symbols >= 2**31)).any():
        return False
    own_shifts = (shifts[where] if len(shifts) > 1 else shifts).cpu().numpy()
    # Symbols and shifts are added modulo 2^32.
    wide[where] = torch.from_numpy((symbols + own_shifts).astype(np.int32)).to(wide.device)
    return True


def _widen(symbols: Tensor) -> tuple[Tensor, Tensor | int]:
    """Return symbols as contiguous int32, and how many do not fit."""
    name = _name(symbols.dtype)
    symbols = symbols.contiguous()
    if name == "uint16":
        return symbols.view(torch.int16).int() & 0xFFFF, 0
    if name == "uint32":
        wide = symbols.view(torch.int32)
        return wide, (wide < 0).sum()
    return symbols.int(), (symbols.int() != symbols).sum() if name == "int64" else 0


def _narrow(wide: Tensor, dtype: str) -> tuple[Tensor, Tensor]:
    """Return int32 symbols in another dtype, and whether all fit."""
    if dtype == "uint32":
        return wide.view(torch.uint32), torch.ones((), device=wide.device)
    if dtype == "uint16":
        return wide.short().view(torch.uint16), ((wide >= 0) & (wide < 1 << 16)).all()
    narrow = wide.to(getattr(torch, dtype))
    return narrow, (narrow == wide).all()


def _layout_of(parameters: Located | Rows) -> _Layout | None:
    """Return the layout of the tables on their device, or None if there are no rows or the tables are too large."""
    tables = parameters.tables()
    return _layout(_Known(tables.fingerprint(), parameters.device(), tables))


@dataclass(frozen=True)
class _Known:
    """Tables on a device, which are the same as others of the same hash."""

    fingerprint: int
    device: torch.device
    tables: _native.Tables = field(compare=False)


@lru_cache(16)
def _layout(known: _Known) -> _Layout | None:
    rows, boundaries, buckets = known.tables.layout()
    if not len(rows) or len(buckets) > MOST_BUCKETS:
        return None
    arrays = rows, boundaries.astype(np.int32), buckets.view(np.int64), rows[:, 0] << 4 | rows[:, 4]
    return _Layout(*(torch.from_numpy(array).to(known.device) for array in arrays))


@cache
def _located_tables(family: str) -> _native.Tables:
    return _native.Tables.located(family)


@cache
def _costs(device: torch.device) -> Tensor:
    """Return the cost of a symbol by the number of its slots, int32."""
    return torch.from_numpy(_native.cost_table().astype(np.int32)).to(device)


def _steps(starts: list[int], lanes: Sequence[int]) -> int:
    """Return the most steps that a part takes."""
    return max(-(-(stop - start) // count) for (start, stop), count in zip(pairwise(starts), lanes, strict=True))


def _blocks(n: int) -> tuple[int]:
    """Return the grid of programs for `n` elements that are each for themselves."""
    return (-(-n // BLOCK),)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _on(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which Triton launches on this device."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
