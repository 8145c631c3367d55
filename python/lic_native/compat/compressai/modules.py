"""Subclasses that `use` puts in the place of CompressAI's classes. This module imports compressai."""

from __future__ import annotations

import functools
import inspect
import operator
from types import CellType, CodeType, FunctionType, SimpleNamespace
from typing import Any

import compressai.ans  # type: ignore
import torch
from compressai.entropy_models import EntropyModel  # type: ignore
from torch import Tensor

from ... import _native
from ...arguments import Bytes
from . import coder as ours

__all__ = ["COUNTERPARTS", "StreamDecoder", "WholeTensors", "coding_class"]


class StreamDecoder(ours.RansDecoder):
    """A decoder that builds tables only from new lists: models make their lists once for each stream."""

    _last: tuple[Any, Any, Any] | None = None

    def set_stream(self, encoded: Bytes) -> None:
        super().set_stream(encoded)
        self._last = None

    def _tables(self, *arguments: Any) -> _native.Tables:
        if self._last is None or any(map(operator.is_not, self._last, arguments)):
            self._last, self._native_tables = arguments, super()._tables(*arguments)
        return self._native_tables


COUNTERPARTS = {
    compressai.ans.RansEncoder: ours.RansEncoder,
    compressai.ans.BufferedRansEncoder: ours.BufferedRansEncoder,
    compressai.ans.RansDecoder: StreamDecoder,
}


class WholeTensors(EntropyModel):  # type: ignore[misc]
    """An entropy model that passes tensors to the coder, not lists.

    A subclass inherits from the class it replaces, and then from this class. So these methods replace the methods of
    `EntropyModel`, even if the replaced class calls them with `super()`.
    """

    def compress(self, inputs: Tensor, indexes: Tensor, means: Tensor | None = None) -> list[bytes]:
        symbols = self.quantize(inputs, "symbols", means)
        if inputs.dim() < 2:
            raise ValueError(f"inputs need two dimensions or more, not {inputs.dim()}")
        if inputs.shape != indexes.shape:
            raise ValueError(f"indexes of {tuple(indexes.shape)} for inputs of {tuple(inputs.shape)}")
        tables = self._tables()
        encode = ours.RansEncoder().encode_with_indexes
        return [encode(*item, *tables) for item in zip(symbols.cpu(), indexes.cpu())]

    def decompress(
        self, strings: list[bytes], indexes: Tensor, dtype: torch.dtype = torch.float, means: Tensor | None = None
    ) -> Tensor:
        if not isinstance(strings, list | tuple):
            raise ValueError(f"strings must be a list of bytes, not {type(strings).__name__}")
        if indexes.dim() < 2:
            raise ValueError(f"indexes need two dimensions or more, not {indexes.dim()}")
        if len(strings) != len(indexes):
            raise ValueError(f"{len(strings)} strings for indexes of {tuple(indexes.shape)}")
        if means is not None and means.shape != indexes.shape:
            is_per_channel = means.shape[:2] == indexes.shape[:2] and all(size == 1 for size in means.shape[2:])
            if not is_per_channel:
                raise ValueError(f"means of {tuple(means.shape)} for indexes of {tuple(indexes.shape)}")
        tables = self._tables()
        decode = ours.RansDecoder().decode_with_indexes
        symbols = torch.empty(indexes.shape, dtype=torch.int32)
        for item, string, index in zip(symbols, strings, indexes.cpu()):
            item.copy_(torch.from_numpy(decode(string, index, *tables)))
        return self.dequantize(symbols.to(self.quantized_cdf.device), means, dtype)  # type: ignore[no-any-return]

    def _tables(self) -> tuple[Tensor, Tensor, Tensor]:
        self._check_cdf_size()
        self._check_cdf_length()
        self._check_offsets_size()
        return self.quantized_cdf.cpu(), self.cdf_length.cpu(), self.offset.cpu()


@functools.cache
def coding_class(theirs: type) -> type:
    """Return a subclass of `theirs` that codes with lic_native, or `theirs` itself if it codes nothing."""
    members = {}
    for name in dir(theirs):
        method = inspect.getattr_static(theirs, name)
        if isinstance(method, FunctionType) and (rebound := _rebound(method)) is not method:
            members[name] = rebound
    makes_lists = issubclass(theirs, EntropyModel) and not issubclass(theirs, WholeTensors)
    if not members and not makes_lists:
        return theirs
    bases = (theirs, WholeTensors) if makes_lists else (theirs,)
    return type(theirs.__name__, bases, {"__module__": theirs.__module__, "__doc__": theirs.__doc__, **members})


def _rebound(function: FunctionType) -> FunctionType:
    """Return a copy of a function that finds our classes where it finds CompressAI's, or itself if it finds none."""
    values = {name: function.__globals__.get(name) for name in _names(function.__code__)}
    ours_by_name = {name: _counterpart(value) for name, value in values.items() if _counterpart(value) is not value}
    cells = function.__closure__ or ()
    closure = tuple(_rebound_cell(cell, getattr(function, "__wrapped__", None)) for cell in cells)
    if not ours_by_name and all(map(operator.is_, closure, cells)):
        return function
    names = {**function.__globals__, **ours_by_name}
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__, closure)
    copy.__kwdefaults__ = function.__kwdefaults__
    return functools.update_wrapper(copy, function)  # type: ignore[return-value]


def _names(code: CodeType) -> set[str]:
    """Return all names that the code, or a function inside it, may look up."""
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*inner)


def _counterpart(value: Any) -> Any:
    if value is compressai.ans:
        return SimpleNamespace(**{theirs.__name__: own for theirs, own in COUNTERPARTS.items()})
    return COUNTERPARTS.get(value, value) if isinstance(value, type) else value


def _rebound_cell(cell: CellType, wrapped: Any) -> CellType:
    """Rebind a variable of an enclosing function. A decorator's variable is the function that it `wrapped`."""
    if cell == CellType():
        return cell
    theirs = cell.cell_contents
    own = _rebound(theirs) if theirs is wrapped and isinstance(theirs, FunctionType) else _counterpart(theirs)
    return cell if own is theirs else CellType(own)
