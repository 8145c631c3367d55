"""The classes of `compressai.ans`, on lic_native's coder."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from ... import _native
from ...arguments import Bytes, to_bytes
from .tables import int32, native_tables

__all__ = ["BufferedRansEncoder", "RansDecoder", "RansEncoder"]


class RansEncoder:
    """Codes the symbols of one call in one stream.

    Raises:
        TypeError: an argument does not hold integers.
        ValueError: the arguments don't fit each other, or a row of the tables breaks a rule.
    """

    def encode_with_indexes(self, symbols: Any, indexes: Any, cdfs: Any, cdfs_sizes: Any, offsets: Any) -> bytes:
        encoder = BufferedRansEncoder()
        encoder.encode_with_indexes(symbols, indexes, cdfs, cdfs_sizes, offsets)
        return encoder.flush()


class BufferedRansEncoder:
    """Codes the symbols of several calls in one stream, which may be read in other pieces than it was written."""

    def __init__(self) -> None:
        self._encoder = _native.Encoder()

    def encode_with_indexes(self, symbols: Any, indexes: Any, cdfs: Any, cdfs_sizes: Any, offsets: Any) -> None:
        tables = native_tables(cdfs, cdfs_sizes, offsets)
        self._encoder.put(int32("symbols", symbols), _native.Model.rows(tables, int32("indexes", indexes)))

    def flush(self) -> bytes:
        """Return the stream of everything since the last flush."""
        encoder, self._encoder = self._encoder, _native.Encoder()
        encoder.join_groups()
        return encoder.finish()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a BufferedRansEncoder can be neither pickled nor copied: keep the bytes that flush() returns")


class RansDecoder:
    """Decodes a stream in one call, or in several after `set_stream`.

    Symbols are a list if the indexes are a list, else an int32 array of their shape. Damaged streams raise a LicError,
    but not all damage is found, least of all by `decode_stream`, which can't know where the stream should end.
    """

    def __init__(self) -> None:
        self._decoder: _native.Decoder | None = None

    def decode_with_indexes(self, encoded: Bytes, indexes: Any, cdfs: Any, cdfs_sizes: Any, offsets: Any) -> Any:
        decoder = _native.Decoder(to_bytes(encoded, "encoded"))
        symbols = _decode(decoder, indexes, native_tables(cdfs, cdfs_sizes, offsets))
        decoder.finish()
        return _like(indexes, symbols)

    def set_stream(self, encoded: Bytes) -> None:
        self._decoder = _native.Decoder(to_bytes(encoded, "encoded"))

    def decode_stream(self, indexes: Any, cdfs: Any, cdfs_sizes: Any, offsets: Any) -> Any:
        """Return the next symbols."""
        if self._decoder is None:
            raise ValueError("decode_stream needs set_stream first")
        symbols = _decode(self._decoder, indexes, self._tables(cdfs, cdfs_sizes, offsets))
        self._decoder.continue_group(symbols.size)
        return _like(indexes, symbols)

    def _tables(self, cdfs: Any, cdfs_sizes: Any, offsets: Any) -> _native.Tables:
        return native_tables(cdfs, cdfs_sizes, offsets)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a RansDecoder can be neither pickled nor copied: make another from the same bytes")


def _decode(decoder: _native.Decoder, indexes: Any, tables: _native.Tables) -> Any:
    indexes = int32("indexes", indexes)
    symbols = np.empty(indexes.shape, np.int32)
    decoder.get(_native.Model.rows(tables, indexes), symbols)
    return symbols


def _like(indexes: Any, symbols: Any) -> Any:
    return symbols.tolist() if isinstance(indexes, list | tuple) else symbols
