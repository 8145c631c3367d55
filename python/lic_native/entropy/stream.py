"""The rANS coder of models that code in steps: one stream for many groups of symbols."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .. import _native
from ..arguments import Bytes, to_bytes, to_count
from .arrays import OUT, ArrayLike, to_out, to_symbols
from .base import Distribution
from .contexts import Contexts, along, given, to_axis
from .distributions import check_distribution

__all__ = ["Decoder", "Encoder"]


class Encoder:
    """Encodes groups of symbols into one rANS stream (docs/format.md, section 5).

    An encoder can be neither pickled nor copied, and only one thread at a time may use it.

    Args:
        max_lanes: maximum number of interleaved states of the stream, 1 to 64. Each takes 2 to 3 bytes. Vector
            instructions, which serve tables, need 16 or more.
        calibrate: whether distributions are corrected by the symbols coded before (docs/calibration.md), unless that
            makes the stream longer. It takes some twenty times as long as tables do without.
        combs: with `calibrate`, whether the frequencies of single values are corrected, too, where that saves enough.
            Only the mixtures of JPEG coefficients can be.

    Raises:
        TypeError, ValueError: `max_lanes` is not an integer from 1 to 64.

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

    def __init__(self, *, max_lanes: int = 64, calibrate: bool = False, combs: bool = False) -> None:
        if to_count(max_lanes, "max_lanes", 1) > 64:
            raise ValueError(f"max_lanes must be 64 or less, not {max_lanes}")
        self._native = _native.Encoder(max_lanes, calibrate, combs)
        self._calibrate = calibrate
        self._groups = self._symbols = 0
        self._finished = False

    def put(
        self,
        symbols: ArrayLike,
        distribution: Distribution,
        *,
        axis: int | None = None,
        contexts: ArrayLike | None = None,
    ) -> None:
        """Encode a group: integers of any shape that the distribution's parameters broadcast to.

        Args:
            symbols, distribution: as for `lic_native.encode`.
            axis, contexts: what calibration learns together, as for `lic_native.encode`; groups with the same contexts
                learn from each other. Without calibration they change nothing.

        Raises:
            IndexError, TypeError, ValueError: an argument is invalid, as for `lic_native.encode`, or the encoder is
                finished. The group is then not encoded.
        """
        check_distribution(distribution)
        array, _, _ = to_symbols(symbols)
        chosen = _contexts(distribution, array.shape, axis, contexts, self._calibrate)
        self._native.put(array, distribution._model(array.shape), chosen)
        self._groups += 1
        self._symbols += array.size

    def cost_bits(self) -> float:
        """Return the bits of all groups so far, without the few bytes of overhead of a stream.

        Raises:
            ValueError: the encoder is finished.
        """
        return self._native.cost_bits()

    def finish(self) -> bytes:
        """Return the stream, and accept no further groups.

        Raises:
            ValueError: the encoder is finished already.
        """
        stream = self._native.finish()
        self._finished = True
        return stream

    def __repr__(self) -> str:
        return f"Encoder(groups={self._groups}, symbols={self._symbols}, finished={self._finished})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an Encoder can be neither pickled nor copied: keep the bytes that finish() returns")


class Decoder:
    """Decodes groups, in the order and with the distributions that they were encoded with.

    A decoder can be neither pickled nor copied, and only one thread at a time may use it.

    Args:
        data: bytes from `Encoder.finish`.

    Raises:
        TypeError: `data` is not a bytes-like object.
        TruncatedError, CorruptError: the bytes are damaged; raised here or by a method. A stream has no checksum, so
            only `finish`, or a checksum around the stream, detects damage that changes nothing but symbols.
    """

    def __init__(self, data: Bytes) -> None:
        data = to_bytes(data)
        self._native = _native.Decoder(data)
        self._size = len(data)
        self._groups = self._symbols = 0

    def get(
        self,
        distribution: Distribution,
        shape: tuple[int, ...] | None = None,
        *,
        dtype: DTypeLike | None = None,
        out: ArrayLike | None = None,
        axis: int | None = None,
        contexts: ArrayLike | None = None,
    ) -> Any:
        """Return the symbols of the next group, as a NumPy array or in `out`.

        Args:
            distribution: the distribution that the group was encoded with.
            shape: shape of the group, if it differs from the shape of the distribution's parameters.
            dtype: dtype of the result: int8, uint8, int16, uint16 or int32; None means int32.
            out: contiguous array or CPU tensor of the group's shape and one of these dtypes, to fill and return. It
                replaces `shape` and `dtype`.
            axis, contexts: those that the group was encoded with.

        Raises:
            IndexError: the group does not have this axis.
            TruncatedError, CorruptError: the stream is damaged, the group has another shape or distribution, or a
                symbol does not fit the dtype. Nothing more can be decoded then.
            TypeError: the dtype is not one of these, an argument has another type, `out` can't be filled, or `shape`
                or `dtype` is passed with `out`.
            ValueError: the distribution's parameters don't broadcast to the shape, or are invalid; `out` is not
                contiguous, or contexts are invalid.
        """
        check_distribution(distribution)
        if out is not None:
            if shape is not None or dtype is not None:
                raise TypeError("out has a shape and a dtype: leave out the arguments shape and dtype")
            array = to_out(out)
        else:
            array = _empty(distribution.shape if shape is None else shape, dtype)
        chosen = _contexts(distribution, array.shape, axis, contexts, self._native.calibrated)
        self._native.get(distribution._model(array.shape), array, chosen)
        self._groups += 1
        self._symbols += array.size
        return array if out is None else out

    def finish(self) -> None:
        """Raise CorruptError unless the stream ends here."""
        self._native.finish()

    def __repr__(self) -> str:
        return f"Decoder(bytes={self._size}, groups={self._groups}, symbols={self._symbols})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Decoder can be neither pickled nor copied: make another from its bytes")


def _contexts(
    distribution: Distribution,
    shape: tuple[int, ...],
    axis: int | None,
    contexts: ArrayLike | None,
    calibrate: bool,
) -> Contexts | None:
    """Return the contexts of a group, or None where there is no calibration."""
    if axis is not None and contexts is not None:
        raise TypeError("axis and contexts exclude each other")
    if axis is not None:
        return along(to_axis(axis, shape), shape)
    if contexts is not None:
        return given(contexts, shape)
    return distribution._contexts(shape) if calibrate else None


def _empty(shape: tuple[int, ...], dtype: DTypeLike | None) -> NDArray[Any]:
    """Return an array for symbols. Raises TypeError if symbols can't have this dtype."""
    try:
        kind = np.dtype(np.int32 if dtype is None else dtype)
    except TypeError:
        kind = None
    if kind not in OUT:
        raise TypeError(f"dtype must be int8, uint8, int16, uint16 or int32, not {dtype!r}")
    try:
        return np.empty(shape, kind)
    except TypeError:
        raise TypeError(f"shape must be integers, not {shape!r}") from None
