"""Latent representation overfitting (LOF, Zhang et al. 2022): the encoder fits the latents to one image.

    analysis --> y -- annealed: random rounding, ever harder --> walk, synthesis --> bits per pixel + lambda * error
                 ^------------------------------- Adam -----------------------------------------------'

An analysis transform is trained on many images, and its latents are not the best for any one of them. Gradient descent
improves them while the decoder and its prior stay fixed (Campos et al. 2019, Content adaptive optimization for neural
image compression, arXiv 1906.01223), so any decoder reads the files.

Of the greedy search in Zhang et al. 2022 (arXiv 2210.04112) only the name and results are public, so this is another
method, stochastic Gumbel annealing (Yang, Bamler, Mandt 2020, Improving inference for neural image compression,
arXiv 2006.04240): a latent stands between its two nearest integers, at random and ever closer to one of them. With the
noise of that paper it takes thousands of iterations; with less noise, a few hundred gain as much.

An iteration is the same sequence of operations each time, with nothing read back from the device or sent to it: what
changes is written to fixed places before. So on CUDA all but the first replay one graph (`cuda/graphs.py`).
"""

from __future__ import annotations

import math
import operator
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .. import threads
from ..arguments import to_count
from ..coding.rate import RateMeter
from ..cuda.graphs import Program, empty_cache, fetch, graph_maker
from ..models.base import ImageModel
from ..models.msp import Msp
from ..models.rate_points import LARGEST, LAST, tradeoff
from ..nn.ambient import known_state
from ..observe import stage
from .analysis import Analysis
from .grid import Area
from .progress import OverfitProgress, Score

__all__ = ["OverfitResult", "TileSearch", "overfit"]

#: Step size of the first iteration, in integers; it falls to zero as a cosine.
RATE = 0.006
#: Temperature of the first and of the last iteration.
WARM, COLD = 0.5, 0.05
#: Noise at most, where 1 is that of Yang et al. 2020, and the number of iterations from which on it is that much.
NOISE, PATIENCE = 0.5, 300
#: Distance from integers that latents keep, since the slope is infinite there.
EDGE = 1e-4
#: Iterations that a GPU has waiting: one, so that it never waits itself, and that an interrupt ends the search soon.
AHEAD = 1


@dataclass(frozen=True)
class OverfitResult:
    """The latents that `overfit` has chosen.

    symbols: integers as floats, `[1, C, h, w]`.
    before, after: scores of the rounded latents and of `symbols`.
    """

    symbols: Tensor
    before: Score
    after: Score


class TileSearch:
    """Overfit the latents of an image tile by tile, each with the latents that were chosen for its neighbours.

    analysis: of the image.
    iterations: number of iterations for each tile.
    on_progress: called after each iteration and after each tile.
    """

    def __init__(
        self, analysis: Analysis, iterations: int, on_progress: Callable[[OverfitProgress], None] | None = None
    ) -> None:
        self._analysis, self._iterations, self._on_progress = analysis, iterations, on_progress
        self._finished: list[tuple[Area, OverfitResult]] = []

    def __call__(self, tile: Area) -> Tensor:
        """Return the latents of a tile, integers as floats `[1, C, h, w]`. Tiles must come in raster order."""
        analysis = self._analysis
        # All latents that the pixels depend on which depend on the tile.
        area = analysis.grid.padded(tile, 2 * analysis.model.reach[1])
        y = analysis.latents(area).clone()
        for other, finished in self._finished:
            if shared := other.overlap(area):
                y[..., *shared.within(area)] = finished.symbols[..., *shared.within(other)]
        with stage("overfitting", whole=True):
            result = overfit(
                analysis.model,
                analysis.planes(area),
                analysis.index,
                self._iterations,
                symbols=y,
                tile=tile.within(area),
                on_step=lambda done, _: self._report(done),
            )
        self._finished.append((tile, result))
        self._report(0)
        return result.symbols

    def _report(self, done: int) -> None:
        """Report progress; `done` counts iterations of the current tile."""
        if self._on_progress is None:
            return
        weights = [math.prod(tile.size) for tile, _ in self._finished]
        before = _mean([result.before for _, result in self._finished], weights)
        after = _mean([result.after for _, result in self._finished], weights)
        total = self._iterations * self._analysis.grid.count
        self._on_progress(OverfitProgress(done + self._iterations * len(self._finished), total, before, after))


def _mean(scores: list[Score], weights: list[int]) -> Score | None:
    """Return the weighted mean of scores, None if there are none."""
    if not scores:
        return None
    return Score(*(sum(map(operator.mul, weights, values)) / sum(weights) for values in zip(*scores)))


def overfit(
    model: ImageModel,
    pixels: Tensor,
    index: int,
    iterations: int,
    *,
    symbols: Tensor | None = None,
    tile: tuple[slice, slice] | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> OverfitResult:
    """Search integer latents of low bits per pixel + lambda * mean squared error, never higher than that of rounding.

    A tile of a larger image is searched together with its surroundings: `pixels` covers the tile and, as far as the
    image goes, twice `model.reach[1]` vectors more on each side; `symbols` holds the latents that the surroundings have
    so far; `tile` says which latents are searched. The error counts all pixels that depend on the tile's latents, so
    each tile improves the whole image. The bits are those of the tile, coded by itself.

    On a CPU, the same call returns the same integers on the same machine; on CUDA not always, since some sums of
    gradients have no fixed order. The state of torch stays unchanged.

    Args:
        model: a codec with fixed weights whose walk is differentiable under `RateMeter`. It stays unchanged.
        pixels: `[1, 3, 16H, 16W]` from 0 to 1, on the model's device.
        index: the quality as files name it (`models/rate_points.py`).
        iterations: steps of descent; each takes as long as encoding and decoding a few times. 0 only rounds.
        symbols: `[1, C, H, W]`: the tile's latents before rounding, and those around it. Default: of `model.encode`.
        tile: rows and columns of the searched latents. Default: all.
        on_step: called after each iteration with the number of iterations and the loss of the annealed latents; on
            CUDA while the next iteration runs.

    Raises:
        TypeError, ValueError: a shape or number does not fit.
        KeyboardInterrupt: the work is no longer wanted (`threads.check`).
    """
    index, iterations = to_count(index, "index"), to_count(iterations, "iterations")
    height, width = _latent_size(model, pixels)
    if index > LAST:
        raise ValueError(f"index must be from 0 to {LAST}, not {index}")
    if symbols is not None and symbols.shape != (1, model.channels, height, width):
        raise ValueError(f"symbols must be {(1, model.channels, height, width)}, not {tuple(symbols.shape)}")
    area = Area(*tile) if tile else Area(slice(0, height), slice(0, width))
    for part, size in zip(area, (height, width)):
        if part.step is not None or not 0 <= part.start < part.stop <= size:
            raise ValueError(f"tile must lie within {size} latents, not at {part}")

    # The clones have gradients even if the caller's tensors were made in inference mode.
    with known_state(grad=True), torch.cuda.device_of(pixels):  # type: ignore[no-untyped-call]
        pixels, at = pixels.clone(), torch.tensor([index], device=pixels.device)
        with torch.no_grad():
            y = model.encode(pixels, at) if symbols is None else symbols.clone()
        objective = _Objective(model, pixels, at, _rounded(y), area)
        y = y[..., *area].clone()
        best = _rounded(y)
        before = after = objective.score(best)
        if iterations:
            fitted = _rounded(_descend(objective, y, iterations, on_step))
            score = objective.score(fitted)
            if score.loss < before.loss:
                best, after = fitted, score
        return OverfitResult(best, before, after)


def _latent_size(model: ImageModel, pixels: Tensor) -> tuple[int, int]:
    """Return rows and columns of the latents of these pixels. Raises ValueError if there are none."""
    shape = tuple(pixels.shape)
    if len(shape) != 4 or shape[:2] != (1, 3) or any(not n or n % model.STRIDE for n in shape[2:]):
        raise ValueError(f"pixels must be [1, 3, H, W] with H and W multiples of {model.STRIDE}, not {shape}")
    return shape[2] // model.STRIDE, shape[3] // model.STRIDE


def _rounded(y: Tensor) -> Tensor:
    """Return the nearest integers that a file can hold."""
    return y.detach().round().clamp(-LARGEST, LARGEST)


class _Objective:
    """Bits per pixel and mean squared error of a tile, as functions of its latents."""

    def __init__(self, model: ImageModel, pixels: Tensor, index: Tensor, symbols: Tensor, tile: Area) -> None:
        self.model, self.index, self.symbols, self.tile = model, index, symbols, tile
        self.weight = float(tradeoff(float(index)))
        self.count = model.STRIDE**2 * math.prod(tile.size)
        reach = model.reach[1]
        # A slice may end beyond the last pixel.
        affected = Area(*(slice(max(part.start - reach, 0), part.stop + reach) for part in tile))
        self.affected = affected.scaled(model.STRIDE)
        self.pixels = pixels[..., *self.affected]
        # The units are computed on the CPU: once, not in each walk.
        given: dict[str, Any] = {"units": model.units(index)} if isinstance(model, Msp) else {}
        self.walk: Callable[..., Tensor] = partial(model.walk, **given)

    def __call__(self, symbols: Tensor, half: bool = False) -> tuple[Tensor, Tensor]:
        """Return bits per pixel and mean squared error, differentiably; `half` computes the synthesis in bfloat16."""
        meter = RateMeter()
        self.walk(meter, self.index, self.tile.size, symbols)
        whole = symbols
        if symbols.shape != self.symbols.shape:
            whole = self.symbols.clone()
            whole[..., *self.tile] = symbols
        # A cache of converted weights would outlive a plain iteration, or be filled by a capture, which computes none.
        with torch.autocast(symbols.device.type, torch.bfloat16, enabled=half, cache_enabled=False):
            decoded = self.model.decode(whole, self.index)[..., *self.affected]
        error = 255 * (decoded.clamp(0, 1) - self.pixels)
        return meter.bits().sum() / self.count, error.square().sum() / (3 * self.count)

    def score(self, symbols: Tensor) -> Score:
        """Return the score of integers, as a file would hold them."""
        with torch.no_grad():
            bpp, mse = map(float, self(symbols))
        return Score(bpp, mse, bpp + self.weight * mse)


class _Iteration:
    """An iteration of the descent, in fixed places.

    y: the latents, which it changes.
    """

    def __init__(self, objective: _Objective, y: Tensor, noise: float) -> None:
        self._objective, self._noise, self._half = objective, noise, has_bfloat16(y.device)
        # With channels last, as the walk and tensor cores take them.
        self.y = y.contiguous(memory_format=torch.channels_last) if y.is_cuda else y
        self._gradient = self.y.requires_grad_().grad = torch.zeros_like(self.y)
        self._uniform, self._temperature = torch.empty_like(self._gradient), y.new_zeros(())
        self._numbers, self._optimizer = torch.Generator(y.device).manual_seed(0), adam(self.y)

    @torch.no_grad()
    def prepare(self, progress: float) -> None:
        """Write what an iteration needs, after a share of all of them."""
        rate, group = RATE * (1 + math.cos(math.pi * progress)) / 2, self._optimizer.param_groups[0]
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
        self._temperature.fill_(WARM * (COLD / WARM) ** progress)
        self._uniform.uniform_(generator=self._numbers)

    def __call__(self) -> Tensor:
        """Make one step, and return the loss before it."""
        z = annealed(self.y, self._temperature, self._noise, self._uniform)
        bpp, mse = self._objective(z, self._half)
        loss = bpp + self._objective.weight * mse
        [gradient] = torch.autograd.grad(loss, self.y)
        # The fused optimizer wants gradients that lie in memory as the latents do.
        self._gradient.copy_(gradient)
        self._optimizer.step()
        return loss.detach()


def _descend(objective: _Objective, y: Tensor, iterations: int, on_step: Callable[[int, float], None] | None) -> Tensor:
    """Return latents of low loss that are nearly integers. `y` is changed."""
    iteration = _Iteration(objective, y, NOISE * math.sqrt(min(1, iterations / PATIENCE)))
    program, new_graph = Program(iteration, iteration.__call__), graph_maker(y.device)
    running: deque[tuple[int, list[Tensor], Callable[[], None]]] = deque()

    def finish() -> None:
        done, [loss], wait = running.popleft()
        wait()
        if on_step:
            on_step(done, float(loss))

    for done in range(iterations):
        threads.check()
        program.places.prepare(done / iterations)
        running.append((done + 1, *fetch([program(new_graph)])))
        if len(running) > (AHEAD if y.is_cuda else 0):
            finish()
    while running:
        finish()
    if program.captured:
        # What the graph had, which nothing else could use.
        del program
        empty_cache()
    return iteration.y.detach()


def adam(y: Tensor) -> torch.optim.Adam:
    """Return the optimizer of latents, whose learning rate is set before each step; on CUDA it can be captured."""
    options: dict[str, Any] = {"lr": y.new_zeros(()), "fused": True, "capturable": True} if y.is_cuda else {}
    # Gradients of bits per pixel are small, so the usual epsilon would dominate them.
    return torch.optim.Adam([y], betas=(0.9, 0.99), eps=1e-12, **options)


def annealed(y: Tensor, temperature: Tensor | float, noise: float, uniform: Tensor) -> Tensor:
    """Return random values between the two integers next to y, more often close to the nearer one.

    The lower the temperature, the closer they are to integers. With noise 1 the probabilities are those of Yang et al.
    2020, since the difference of two Gumbel variables is logistic. uniform: random numbers from 0 to 1, as many.
    """
    floor = y.detach().floor()
    above = (y - floor).clamp(EDGE, 1 - EDGE)
    logit = torch.atanh(above) - torch.atanh(1 - above)
    return floor + torch.sigmoid((logit + noise * torch.logit(uniform.clamp(1e-6, 1 - 1e-6))) / temperature)


def has_bfloat16(device: torch.device) -> bool:
    """Return whether products in bfloat16 take less time on a device than in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
