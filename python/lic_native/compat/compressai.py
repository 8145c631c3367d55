"""The classes of `compressai.ans` on lic_native's coder, and a switch that makes CompressAI's models use it.

    from lic_native.compat.compressai import BufferedRansEncoder, RansDecoder, RansEncoder

    with lic_native.compat.compressai.use(model):
        strings = model.compress(x)["strings"]

Arguments are those of CompressAI. Symbols, indexes, sizes and offsets are lists, NumPy arrays or torch tensors of
integers; CDFs are a list of lists, an array or a tensor. The last interval of a CDF is the escape, which codes any
integer of 32 bits. CDFs of other precisions than 15 bits, such as CompressAI's 16, are converted.

The bytes are not CompressAI's: what one of the two has written, the other can't read. A stream is a raw rANS stream
(section 5 of docs/format.md) without a checksum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from lic_native import _native
from lic_native.arguments import Bytes, to_bytes

from .tables import int32, native_tables

if TYPE_CHECKING:
    import torch

__all__ = ["BufferedRansEncoder", "RansDecoder", "RansEncoder", "use"]


class RansEncoder:
    """Codes the symbols of one call in one stream.

    Raises:
        TypeError: some of the arguments are no integers.
        ValueError: they don't fit each other, or a row of the tables breaks a rule.
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
        """The stream of everything since the last flush."""
        encoder, self._encoder = self._encoder, _native.Encoder()
        encoder.join_groups()
        return encoder.finish()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a BufferedRansEncoder can be neither pickled nor copied: keep the bytes that flush() returns")


class RansDecoder:
    """Decodes a stream in one call, or in several after `set_stream`.

    Symbols are a list if the indexes are, else an int32 array of their shape. Damaged streams raise a LicError, but not
    all damage is found, least of all by `decode_stream`, which can't know where the stream should end.
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
        """The next symbols."""
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


class Use:
    """What `use` changed; `undo`, or the end of a `with` block, changes it back."""

    def __init__(self, changes: list[tuple[torch.nn.Module, type]]) -> None:
        self._undone = [(module, module.__class__) for module, _ in changes]
        for module, ours in changes:
            module.__class__ = ours

    def undo(self) -> None:
        while self._undone:
            module, theirs = self._undone.pop()
            module.__class__ = theirs

    def __enter__(self) -> Use:
        return self

    def __exit__(self, *_: object) -> None:
        self.undo()


def use(model: torch.nn.Module) -> Use:
    """Make a CompressAI model code with lic_native until `undo`, or in a `with` block.

    The classes of the model's modules are replaced by subclasses of theirs, no other model is touched:

    - entropy models (`EntropyBottleneck`, `GaussianConditional` and their like) pass whole tensors to the coder;
    - methods that name a class of `compressai.ans`, as those of autoregressive models do, find ours instead (functions
      outside a class do not).

    Undo before pickling the model as a whole (a state dict is as ever). `GaussianMixtureConditional`, which makes a CDF
    for every element, and the bottlenecks of `entropy_models_vbr` keep CompressAI's coder.

    Raises:
        ValueError: nothing in the model codes with CompressAI, or it is in use already.
        ImportError: compressai is not installed.
    """
    from .compressai_modules import coding_class

    changes = []
    for module in model.modules():
        theirs: Any = type(module)
        if (ours := coding_class(theirs)) is not theirs:
            changes.append((module, ours))
    if not changes:
        raise ValueError(f"nothing in {type(model).__name__} codes with CompressAI, or it is in use already")
    return Use(changes)
