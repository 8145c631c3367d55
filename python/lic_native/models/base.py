"""The base of all models: configuration, states, weights in files; and of models for images, their transforms.

A model is trained as ordinary floats. Before files can depend on it, it goes through three states:

    FLOAT -- calibrate: observe ranges --> -- enable_quantization --> QUANTIZED -- freeze --> FROZEN

QUANTIZED rounds activations as in a file, and can be trained on; FROZEN also has its weights and tables in the form
that files refer to, which `save` writes, `load` reads and `fingerprint` identifies.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from ..coding.coder import SymbolCoder
from ..nn.ambient import known_state
from ..nn.checkpoint import fingerprint, read_weights, write_weights
from ..nn.exact import check_exact
from ..nn.gains import gains_at
from ..nn.quantizer import Quantizer
from .rate_points import LARGEST, initial_log_gains

__all__ = ["Config", "ImageModel", "Model", "State"]

C = TypeVar("C", bound="Config")
M = TypeVar("M", bound="Model")


@dataclass(frozen=True)
class Config:
    """Widths and depths of a model. As JSON they are part of its fingerprint and of the metadata of its weights."""

    def to_json(self) -> str:
        """Return the fields as JSON, sorted.

        A field that is zero or empty by default is left out when it is: a part that a model does not have. So a later
        release can add optional parts, and models without them keep their fingerprints.
        """
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return json.dumps({f.name: values[f.name] for f in fields(self) if f.default or values[f.name]}, sort_keys=True)

    @classmethod
    def from_json(cls: type[C], text: str) -> C:
        """Return the configuration that `to_json` wrote."""
        return cls(**{name: _tuples(value) for name, value in json.loads(text).items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


class State(Enum):
    """How near a model is to the form that files refer to; the states are explained at the top of this file."""

    FLOAT = "float"
    QUANTIZED = "quantized"
    FROZEN = "frozen"


class Model(nn.Module):
    """A model in one of three states, with its weights in files.

    CONFIG: the class of `config`.
    state: of the model; `calibrate`, `enable_quantization` and `freeze` change it.
    """

    CONFIG: ClassVar[type[Config]]
    state = State.FLOAT

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config: Any = config
        self._fingerprint: int | None = None

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.parameters()).device

    @property
    def exact_part(self) -> nn.Module:
        """The part that gives the same integers on every machine."""
        return self

    @property
    def contexts(self) -> int:
        """The number of contexts of the symbols (`coding.mixture.Mixture.first_context`)."""
        raise NotImplementedError

    @property
    def quantizers(self) -> list[Quantizer]:
        return [module for module in self.modules() if isinstance(module, Quantizer)]

    @property
    def calibrated(self) -> bool:
        """True if there are quantizers and all their ranges are known."""
        quantizers = self.quantizers
        return bool(quantizers) and all(quantizer.calibrated for quantizer in quantizers)

    @torch.no_grad()
    def calibrate(self: M, batches: Iterable[Any]) -> M:
        """Measure over `batches` what files depend on and training does not learn: the ranges of activations."""
        for quantizer in self.quantizers:
            quantizer.observe()
        for batch in batches:
            self._observe(batch)
        for quantizer in self.quantizers:
            quantizer.set_range()
        return self

    def enable_quantization(self) -> None:
        """Round activations as in a file from now on. Raises ValueError if the model is not calibrated."""
        for quantizer in self.quantizers:
            quantizer.enable()
        self.state = State.QUANTIZED

    @torch.no_grad()
    def freeze(self: M) -> M:
        """Turn a calibrated model into the one that files refer to, in place and on the CPU.

        Raises:
            ValueError: the model is not calibrated, or the partial sums of a layer could be inexact.
        """
        self.cpu()
        self._to_frozen_form()
        self._become_frozen()
        self._quantize_weights()
        return self

    def _become_frozen(self) -> None:
        self.enable_quantization()
        self.state = State.FROZEN
        self.requires_grad_(False)

    def save(self, path: str | Path) -> None:
        """Write a frozen model, its configuration and its tensors to the bit, as `load` reads it."""
        write_weights(path, self.config.to_json(), self.state_dict())

    @classmethod
    @known_state()
    def load(
        cls: type[M],
        path: str | Path,
        device: torch.device | str = "cpu",
        *,
        trainable: bool = False,
        exact: bool = True,
    ) -> M:
        """Return a model that `save` wrote.

        Args:
            path: of a file of weights.
            device: where the model is to run.
            trainable: return the FLOAT model that was frozen, except for the bits that its weights lost; it is to be
                calibrated anew.
            exact: try whether the device computes exactly, which torch must where it codes symbols.

        Raises:
            InexactDeviceError: the device does not compute exactly (`nn.exact.check_exact`).
            OSError, LicError: the file can't be read (`nn.checkpoint.read_weights`).
        """
        config, tensors = read_weights(path)
        with torch.device("meta"):
            model = cls(cls.CONFIG.from_json(config))
        model._to_frozen_form()
        model.load_state_dict(tensors, assign=True)
        if trainable:
            model._to_float_form()
            for quantizer in model.quantizers:
                quantizer.reset()
            model.requires_grad_(True)
        else:
            model._become_frozen()
            if exact:
                check_exact(model.exact_part, torch.device(device))
        return model.to(device)

    def fingerprint(self) -> int:
        """Return 32 bits that change with the configuration and any weight or table of a frozen model."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.config.to_json(), self.state_dict())
        return self._fingerprint

    def _observe(self, batch: Any) -> None:
        """Run the model over one of the batches of `calibrate`."""
        raise NotImplementedError

    def _quantize_weights(self) -> None:
        """Put weights and tables on the grids that files need; the ranges of activations are known."""
        raise NotImplementedError

    def _to_frozen_form(self) -> None:
        """Give layers the form that they have in a frozen model, where it differs."""

    def _to_float_form(self) -> None:
        """Undo `_to_frozen_form`."""


class ImageModel(Model):
    """A lossy codec: transforms g_a and g_s around integers, with a gain for each channel and quality.

    `index` is `[B]` int64: qualities as files name them (`models/rate_points.py`).

    STRIDE: pixels on a side of the square that a vector of latents stands for.
    TILE: vectors on a side of what is coded in one walk. Part of the format. It bounds memory.
    HALF: whether the synthesis transform may work in float16, where pixels are wanted and no gradients.
    PRIOR_RATE, GAIN_RATE: learning rates of the prior and of the gains, relative to the transforms'.
    log_gain, log_inverse_gain: `[QUALITIES, C]`, what latents are multiplied with before rounding and after.
    """

    STRIDE: int
    TILE: int
    HALF: ClassVar[bool] = False
    PRIOR_RATE: float
    GAIN_RATE = 6.0

    def __init__(self, config: Config, g_a: nn.Module, g_s: nn.Module, channels: int) -> None:
        super().__init__(config)
        self.g_a: Any = g_a
        self.g_s: Any = g_s
        self.log_gain, self.log_inverse_gain = (
            nn.Parameter(torch.tensor([[sign * gain] * channels for gain in initial_log_gains()])) for sign in (1, -1)
        )

    @property
    def channels(self) -> int:
        """Channels of the latents."""
        return self.log_gain.shape[1]

    @property
    def reach(self) -> tuple[int, int]:
        """How many vectors away the pixels are that a latent depends on, and the latents that a pixel depends on."""
        return self.g_a.reach, self.g_s.reach

    def gain(self, index: Tensor) -> Tensor:
        """Return the factor of y, `[B, C, 1, 1]`."""
        raise NotImplementedError

    def encode(self, pixels: Tensor, index: Tensor) -> Tensor:
        """Return latents `[B, C, H, W]`, not yet rounded, of samples from 0 to 1, `[B, 3, 16H, 16W]`."""
        y: Tensor = self.g_a(pixels - 0.5, index).float()
        return (y * self.gain(index)).clamp(-LARGEST, LARGEST)

    def decode(self, symbols: Tensor, index: Tensor) -> Tensor:
        """Return the samples that rounded latents stand for: the input of `encode` up to the loss."""
        pixels: Tensor = self.g_s(symbols * gains_at(self.log_inverse_gain, index), index)
        return pixels.float() + 0.5

    def walk(self, coder: SymbolCoder, index: Tensor, size: tuple[int, int], symbols: Tensor | None = None) -> Tensor:
        """Code latents of `size` (H, W) through `coder`: integers as floats `[B, C, H, W]`, None when decoding."""
        raise NotImplementedError

    @property
    def trained_prior(self) -> nn.Module:
        """The probability model in training."""
        raise NotImplementedError

    def init_from_pca(self, pixels: Tensor) -> None:
        """Set the first weights from principal components. pixels: as of `encode`, a few dozen crops."""
        raise NotImplementedError

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Return parameters, and their learning rates relative to the transforms'."""
        transforms = [*self.g_a.parameters(), *self.g_s.parameters()]
        prior, gains = list(self.trained_prior.parameters()), [self.log_gain, self.log_inverse_gain]
        return [(transforms, 1.0), (prior, self.PRIOR_RATE), (gains, self.GAIN_RATE)]
