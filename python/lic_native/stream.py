"""The rANS coder for models that code in steps: many groups of symbols, one stream."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _native
from .arrays import ArrayLike, to_numpy, to_symbols
from .distributions import Distribution


class Encoder:
    """Collects groups of symbols and turns them into one rANS stream (docs/format.md, section 5).

    Args:
        max_lanes: the stream has no more than so many interleaved states, 1 to 64. Each takes 2 to 3 bytes; the vector
            instructions, which are for tables, want 16 or more.

    Raises:
        ValueError: there can't be that many lanes.

    Example:
        >>> tables = Tables.gaussian([1.0, 4.0])
        >>> encoder = Encoder()
        >>> encoder.put(np.array([0, 1]), tables[[0, 0]])
        >>> encoder.put(np.array([[-7], [3]]), tables[[[1], [1]]])
        >>> decoder = Decoder(encoder.finish())
        >>> decoder.get(tables[[0, 0]])
        array([0, 1], dtype=int32)
        >>> decoder.get(tables[[[1], [1]]], dtype="int16").ravel()
        array([-7,  3], dtype=int16)
        >>> decoder.finish()
    """

    def __init__(self, *, max_lanes: int = 64) -> None:
        self._native = _native.Encoder(max_lanes)

    def put(self, symbols: ArrayLike, distribution: Distribution) -> None:
        """Code a group: integers of any shape that the distribution's parameters broadcast to.

        Raises:
            TypeError, ValueError: as `lic_native.encode` does; the group is then not coded.
        """
        array, _, _ = to_symbols(symbols)
        self._native.put(array, distribution._model(array.shape))

    def cost_bits(self) -> float:
        """Bits that the groups so far will take, without the few bytes that each stream takes besides."""
        return self._native.cost_bits()

    def finish(self) -> bytes:
        """The stream; nothing can be put any more."""
        return self._native.finish()


class Decoder:
    """Reads groups back, in the order and with the distributions that they were put with.

    Args:
        data: bytes from `Encoder.finish`.

    Raises:
        TruncatedError, CorruptError: here or later, if the bytes are damaged. A stream has no checksum: what an error
            that changes only symbols did is seen by `finish`, or by a checksum around the stream.
    """

    def __init__(self, data: bytes) -> None:
        self._native = _native.Decoder(data)

    def get(
        self,
        distribution: Distribution,
        shape: tuple[int, ...] | None = None,
        *,
        dtype: str = "int32",
        out: ArrayLike | None = None,
    ) -> Any:
        """The symbols of a group, as a NumPy array of this dtype, or in `out`.

        Args:
            distribution: that of the group.
            shape: of the group, if it is not that of the distribution's parameters.
            dtype: int8, uint8, int16, uint16 or int32.
            out: contiguous array or CPU tensor to fill and return, whose shape is the group's.
        """
        if out is not None:
            array = to_numpy(out)[0]
            self._native.get(distribution._model(array.shape), array)
            return out
        array = np.empty(distribution.shape if shape is None else shape, dtype)
        self._native.get(distribution._model(array.shape), array)
        return array

    def finish(self) -> None:
        """Raise CorruptError unless the stream ends here."""
        self._native.finish()
