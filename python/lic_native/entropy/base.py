"""The base class of distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _native
from .contexts import ONE, Contexts

if TYPE_CHECKING:
    import torch

    from ..cuda.messages import Located, Rows

__all__ = ["Distribution", "equal"]


class Distribution:
    """Independent distributions for the elements of a tensor.

    Two objects are equal if they have the same class and equal parameters. They can be pickled and copied.
    """

    #: Shape that the parameters broadcast to. It must broadcast to the shape of the symbols.
    shape: tuple[int, ...]

    def _parameters(self) -> dict[str, Any]:
        """Return the arguments of the constructor, in their order."""
        raise NotImplementedError

    def _model(self, shape: tuple[int, ...]) -> _native.Model:
        """Return the native distributions of symbols of this shape."""
        raise NotImplementedError

    def _device_model(self, shape: tuple[int, ...], device: torch.device) -> Located | Rows | None:
        """Return the distributions of symbols of this shape on a device, or None if they can't be used there."""
        return None

    def _on_host(self) -> Distribution:
        """Return the same distributions with parameters that are not on a device."""
        return self

    def _contexts(self, shape: tuple[int, ...]) -> Contexts:
        """Return the contexts of symbols of this shape, for coders that calibrate."""
        return ONE

    def _item(self, i: int, dimensions: int) -> Distribution:
        """Return the distributions of item `i` along the first axis of a tensor with this number of dimensions."""
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(self._parameters().values())

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self is other or equal([*self._parameters().values()], [*other._parameters().values()])

    def __hash__(self) -> int:
        # The arrays belong to the caller, who may change the numbers in them.
        return hash((type(self), self.shape))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{n}={_shown(v)}' for n, v in self._parameters().items())})"


def equal(one: Any, other: Any) -> bool:
    """Return whether two parameters (arrays, numbers, distributions, tables or lists of them) are equal."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def _shown(value: Any) -> str:
    """Return a parameter as text for a notebook: a few numbers, or dtype and shape."""
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if not isinstance(value, np.ndarray):
        return repr(value)
    if value.size > 8:
        return f"{value.dtype}{list(value.shape)}"
    return " ".join(np.array2string(value, separator=", ", formatter={"float_kind": "{:g}".format}).split())
