"""Distributions of integers, one for each element of a tensor, as arguments of `encode` and `decode`.

Parameters broadcast against the symbols as arrays do in NumPy. They may be torch tensors on any device, NumPy arrays,
DLPack objects or numbers. Like arrays, tensors on a GPU are not copied, so do not change them before coding is done.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _native
from .arrays import ArrayLike, batch_item, broadcast, device_floats, in_order, like, loses, to_floats
from .base import Distribution
from .contexts import Contexts
from .tables import Tables

if TYPE_CHECKING:
    import torch

    from ..cuda.messages import Located

__all__ = [
    "Categorical",
    "Gaussian",
    "Laplace",
    "LocationScale",
    "Logistic",
    "LogisticPair",
    "Mixture",
    "check_distribution",
]


class LocationScale(Distribution):
    """A location-scale family: each element has a mean and a scale, and each integer the mass of its unit interval.

    Means and scales become integers by exact comparisons and single roundings, so equal floats give equal tables on
    every machine. Use `tables[indexes]` instead if floats may differ between encoder and decoder, for example because
    a network runs on another device. The steps are so fine that Gaussians take 0.05 % more bits for scales from 0.11 to
    64, and 0.15 % more for scales up to 1. A scale out of range uses the narrowest or the widest table.

    Args:
        mean: floats from -2^30 to 2^30, or integers.
        scale: positive floats.

    Raises:
        TypeError: a parameter does not hold numbers.
        ValueError: the shapes do not broadcast. Raised during coding, it names the first element with an invalid
            parameter.
    """

    __slots__ = ("_host", "_tensors", "shape")
    _family: str

    def __init__(self, mean: ArrayLike, scale: ArrayLike) -> None:
        # What is on a device stays there until it is needed elsewhere.
        self._tensors = device_floats(mean=mean, scale=scale)
        self._host = to_floats(mean=mean, scale=scale) if self._tensors is None else []
        mean, scale = self._tensors or self._host
        self.shape = _common_shape(mean=mean, scale=scale)

    def _arrays(self) -> list[NDArray[Any]]:
        """Return means and scales as arrays."""
        if self._tensors is None:
            return self._host
        mean, scale = self._tensors
        return to_floats(mean=mean, scale=scale)

    def _model(self, shape: tuple[int, ...]) -> _native.Model:
        mean, scale = self._arrays()
        mean, scale = _parameter(mean, shape, "mean"), _parameter(scale, shape, "scale")
        return _native.Model.located(self._family, math.prod(shape), mean, scale)

    def _device_model(self, shape: tuple[int, ...], device: torch.device) -> Located | None:
        tensors = self._tensors
        if tensors is None and not self.shape and not any(array.ndim for array in self._host):
            tensors = [like(array, True).to(device) for array in self._host]
        if tensors is None or tensors[0].device != device:
            return None
        from ..cuda import messages

        flat = [messages.flat(tensor, shape) for tensor in tensors]
        # Shapes that do not broadcast are reported where arrays are.
        return None if flat[0] is None or flat[1] is None else messages.Located(self._family, flat[0], flat[1])

    def _on_host(self) -> LocationScale:
        return self if self._tensors is None else type(self)(*self._arrays())

    def _component(self, shape: tuple[int, ...], dtype: type[np.floating]) -> tuple[str, Any, Any]:
        """Return the family, mean and scale of a component of a mixture."""
        mean, scale = (array.astype(dtype, copy=False) for array in self._arrays())
        return self._family, _parameter(mean, shape, "mean"), _parameter(scale, shape, "scale")

    def _item(self, i: int, dimensions: int) -> LocationScale:
        return type(self)(*(batch_item(array, i, dimensions) for array in self._arrays()))

    def _parameters(self) -> dict[str, Any]:
        return dict(zip(("mean", "scale"), self._arrays(), strict=True))


class Gaussian(LocationScale):
    """Discretised normal distributions: each integer has the mass of its unit interval.

    Args:
        mean: from -2^30 to 2^30: floats of any width (float16 and bfloat16 are cast to float32) or integers, numbers
            or arrays or tensors that broadcast to the symbols' shape.
        scale: standard deviation, of the same kinds; positive and finite. Scales below 1/16 and above 512 use the
            narrowest or the widest distribution.

    Raises:
        TypeError: a parameter does not hold numbers.
        ValueError: the shapes do not broadcast. Raised during coding, it names the first element with an invalid
            parameter.

    Example:
        >>> latents = np.array([[-1, 0], [7, 2]])
        >>> gaussian = Gaussian(np.array([[-0.6, 0.1], [5.0, 2.0]], np.float32), 1.5)
        >>> decode(encode(latents, gaussian), gaussian)
        array([[-1,  0],
               [ 7,  2]])
    """

    __slots__ = ()
    _family = "gaussian"


class Laplace(LocationScale):
    """Discretised Laplace distributions, whose density is proportional to exp(-|x - mean| / scale).

    Args:
        mean, scale: numbers of the same kinds and ranges as for `Gaussian`.

    Raises:
        TypeError, ValueError: as `Gaussian` does.
    """

    __slots__ = ()
    _family = "laplace"


class Logistic(LocationScale):
    """Discretised logistic distributions, whose cumulative distribution is 1 / (1 + exp(-(x - mean) / scale)).

    Args:
        mean, scale: numbers of the same kinds and ranges as for `Gaussian`.

    Raises:
        TypeError, ValueError: as `Gaussian` does.
    """

    __slots__ = ()
    _family = "logistic"


class Mixture(Distribution):
    """Mixtures of 1 to 8 components, each `Gaussian`, `Laplace` or `Logistic`.

    The distribution function is computed for each element, in integers; this is far slower than tables. Parameters
    are used as float32, or as float64 if float32 would change a mean beyond 2^24, make a scale 0 or infinite, or make a
    weight infinite. Scales below 1/64 count as 1/64, and scales above 65536 as 65536.

    Args:
        components: the components, whose parameters broadcast to the symbols' shape.
        weights: a number or an array for each component, not negative. They need not sum to 1.

    Raises:
        TypeError: a component is not one of these distributions, or a weight is not a number.
        ValueError: there are no components or more than 8, the number of weights differs, or shapes do not broadcast.
            Raised during coding, it names the first element with an invalid parameter.

    Example:
        >>> mixture = Mixture([Laplace(0, 0.5), Gaussian(0, np.array([4.0, 9.0]))], [0.7, 0.3])
        >>> decode(encode(np.array([0, -12]), mixture), mixture)
        array([  0, -12])
    """

    __slots__ = ("_components", "_dtype", "_weights", "shape")

    def __init__(self, components: Sequence[LocationScale], weights: Sequence[ArrayLike]) -> None:
        for name, argument in (("components", components), ("weights", weights)):
            if not hasattr(argument, "__len__"):
                raise TypeError(f"{name} must be a list, not {type(argument).__name__}")
        for component in components:
            if not isinstance(component, LocationScale):
                raise TypeError(f"components must be Gaussian, Laplace or Logistic, not {type(component).__name__}")
        if not 1 <= len(components) <= 8 or len(components) != len(weights):
            counts = f"{len(components)} components with {len(weights)} weights"
            raise ValueError(f"{counts}: pass 1 to 8 components, and a weight for each")
        self._components = tuple(component._on_host() for component in components)
        self._weights = [to_floats(weight=weight)[0] for weight in weights]
        parameters = [("weight", weight) for weight in self._weights]
        for component in self._components:
            parameters += component._parameters().items()
        self._dtype = np.float64 if any(loses(array, name) for name, array in parameters) else np.float32
        self.shape = _common_shape(
            **{f"component {i}": component for i, component in enumerate(components)},
            **{f"weight {i}": weight for i, weight in enumerate(self._weights)},
        )

    def _model(self, shape: tuple[int, ...]) -> _native.Model:
        components = []
        for component, weight in zip(self._components, self._weights):
            family, mean, scale = component._component(shape, self._dtype)
            weight = _parameter(weight.astype(self._dtype, copy=False), shape, "weights")
            components.append((family, [weight, mean, scale]))
        return _native.Model.mixture_of(math.prod(shape), components)

    def _item(self, i: int, dimensions: int) -> Mixture:
        components = [component._item(i, dimensions) for component in self._components]
        return Mixture(components, [batch_item(weight, i, dimensions) for weight in self._weights])

    def _parameters(self) -> dict[str, Any]:
        return {"components": list(self._components), "weights": self._weights}


class Categorical(Distribution):
    """Symbols 0 to n - 1 with any probabilities, n up to 4096 (2^15 - 1 if they are the same for all elements).

    Args:
        pmf: `[..., n]` probabilities or counts, not negative, which need not sum to 1. The leading dimensions broadcast
            to the symbols' shape. Floats are used as float32 if there are leading dimensions. A symbol of probability
            0 keeps one slot; symbols outside 0 to n - 1 are escaped.

    Raises:
        TypeError: `pmf` does not hold numbers.
        ValueError: `pmf` has no dimension, no symbols or too many, or probabilities that are negative, NaN, infinite or
            all 0. If there are leading dimensions, probabilities are checked during coding.

    Example:
        >>> coin = Categorical([1, 3])
        >>> decode(encode(np.array([1, 1, 0, 1], np.int8), coin), coin)
        array([1, 1, 0, 1], dtype=int8)
    """

    __slots__ = ("_pmf", "_rows", "shape")

    def __init__(self, pmf: ArrayLike) -> None:
        (array,) = to_floats(pmf=pmf)
        if array.ndim == 0 or not array.shape[-1]:
            raise ValueError(f"pmf of shape {array.shape}, not [..., n] with n from 1 on")
        self.shape = array.shape[:-1]
        self._pmf = array
        # A table is faster, but holds one distribution for all elements.
        self._rows = Tables.from_pmf(array[None])[0] if array.ndim == 1 else None

    def _model(self, shape: tuple[int, ...]) -> _native.Model:
        if self._rows is not None:
            return self._rows._model(shape)
        pmf = self._pmf.astype(np.float32, copy=False)
        return _native.Model.categoricals(broadcast(in_order(pmf), (*shape, pmf.shape[-1]), "pmf"))

    def _item(self, i: int, dimensions: int) -> Categorical:
        return self if self._rows is not None else Categorical(batch_item(self._pmf, i, dimensions + 1))

    def _parameters(self) -> dict[str, Any]:
        return {"pmf": self._pmf}


class LogisticPair(Distribution):
    """Mixtures of two logistic distributions, given by int16 `params` `[..., 5]` (docs/format.md, section 4).

    contexts: uint16 `[n]` below 4096, for coders that calibrate: element i of a group has the context
        `contexts[i % n]`. None is one context for all.
    """

    __slots__ = ("_native", "_own", "_params", "shape")

    def __init__(self, params: NDArray[np.int16], contexts: NDArray[np.uint16] | None = None) -> None:
        self._native = _native.Model.mixtures(params)
        self._params, self._own = params, contexts
        self.shape = params.shape[:-1]

    def _model(self, shape: tuple[int, ...]) -> _native.Model:
        if self.shape != shape:
            raise ValueError(f"params of {self.shape} elements for symbols of shape {shape}")
        return self._native

    def _contexts(self, shape: tuple[int, ...]) -> Contexts:
        return super()._contexts(shape) if self._own is None else Contexts(self._own)

    def _parameters(self) -> dict[str, Any]:
        return {"params": self._params} | ({} if self._own is None else {"contexts": self._own})


def check_distribution(distribution: object) -> None:
    """Raise TypeError, which says what to write instead, unless the argument is a distribution."""
    if isinstance(distribution, Distribution):
        return
    known = "tables[indexes], Gaussian(mean, scale), Laplace, Logistic, Mixture or Categorical"
    advice = f"; choose from: {known}"
    if isinstance(distribution, Tables):
        advice = ": give each element a row of them, tables[indexes]"
    elif isinstance(distribution, tuple | list):
        advice = ": write Gaussian(mean, scale), or another of lic_native's families"
    elif isinstance(distribution, type) and issubclass(distribution, Distribution):
        raise TypeError(f"distribution must have its parameters: write {distribution.__name__}(...)")
    raise TypeError(f"distribution must be one of lic_native's, not {type(distribution).__name__}{advice}")


def _common_shape(**parameters: Any) -> tuple[int, ...]:
    """Return the shape that parameters broadcast to. Raises ValueError, which names them, if they do not."""
    shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape)
        raise ValueError(f"these shapes do not broadcast: {listed}") from None


def _parameter(array: NDArray[Any], shape: tuple[int, ...], name: str) -> Any:
    """Return a parameter as a number, or as an array of the symbols' shape."""
    return float(array) if array.ndim == 0 else broadcast(array, shape, name)
