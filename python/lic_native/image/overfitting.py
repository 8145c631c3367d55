"""Latents that are fitted to one image by its encoder: Zhang et al. 2022, latent representation overfitting (LOF).

    analysis --> y -- random rounding, ever harder --> walk, synthesis --> bits per pixel + lambda * error
                 ^------------------ Adam ---------------------------------------------------'

An analysis transform knows its image only as one of all it was trained on, and its latents are not the best for a
decoder: those are searched by gradient descent, with the decoder and its prior as they are (Campos et al. 2019, Content
adaptive optimization for neural image compression, arXiv 1906.01223). Files need no other decoder.

What has to come out are integers, and descent needs something smooth: stochastic Gumbel annealing (Yang, Bamler, Mandt
2020, Improving inference for neural image compression, arXiv 2006.04240). A latent stands between the two nearest
integers, at random and ever nearer to one of them. With as much noise as there, that takes thousands of iterations;
with less of it, a few hundred go as far. What arXiv 2210.04112 does is not public; the name is theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .. import threads
from ..arguments import to_count
from ..coding.rate import RateMeter
from ..models.base import ImageModel
from ..models.rate_points import LARGEST, LAST, tradeoff
from ..nn.ambient import known_state

__all__ = ["Overfitted", "Score", "overfit"]

#: Of the first iteration, in integer steps; it falls as a cosine to zero.
RATE = 0.006
#: Temperature of the first and of the last iteration.
WARM, COLD = 0.5, 0.05
#: The most noise, beside that of a choice at random, and the iterations that average it out.
NOISE, PATIENCE = 0.5, 300
#: Latents that nearly are integers count as so far from them: their slope is infinite.
EDGE = 1e-4


class Score(NamedTuple):
    """bpp: bits per pixel. mse: mean squared error of samples from 0 to 255. loss: bpp + lambda * mse."""

    bpp: float
    mse: float
    loss: float


@dataclass(frozen=True)
class Overfitted:
    """symbols: integers as floats, `[1, C, h, w]`. before, after: of the rounded latents they began as, and of them."""

    symbols: Tensor
    before: Score
    after: Score


def overfit(
    model: ImageModel,
    pixels: Tensor,
    index: int,
    iterations: int,
    *,
    symbols: Tensor | None = None,
    tile: tuple[slice, slice] | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> Overfitted:
    """Search the integers that cost least bits per pixel + lambda * mean squared error: never worse than rounded ones.

    Of an image in tiles, each is searched with what surrounds it: `pixels` is the tile's and of twice `model.reach[1]`
    vectors on each side where there are any, `symbols` has around it what has been chosen so far, and `tile` says which
    are searched. The error is that of all pixels the tile's latents have a part in, so that each tile makes the
    whole image better. Bits are those of the tile, walked by itself.

    The same call gives the same integers on the same machine. Nothing of torch's state is changed.

    Args:
        model: a fixed codec whose walk is differentiable under `RateMeter`. It is not changed.
        pixels: `[1, 3, 16H, 16W]` from 0 to 1, on the model's device.
        index: of the quality.
        iterations: steps of descent; each takes as long as encoding and decoding a few times. 0 only rounds.
        symbols: `[1, C, H, W]`: what is searched as it was before rounding, integers around. Default: `model.encode`'s.
        tile: rows and columns of the latents that are searched, `h` and `w` of them. Default: all.
        on_step: called after each iteration with how many are done and the loss, of latents not quite rounded.

    Raises:
        TypeError, ValueError: shapes or numbers that are none of these.
        KeyboardInterrupt: the work is no longer wanted (`threads.check`).
    """
    index, iterations = to_count(index, "index"), to_count(iterations, "iterations")
    height, width = _grid(model, pixels)
    if index > LAST:
        raise ValueError(f"index {index} of a quality is not from 0 to {LAST}")
    if symbols is not None and symbols.shape != (1, model.channels, height, width):
        raise ValueError(f"latents {tuple(symbols.shape)}, not {(1, model.channels, height, width)}")
    rows, columns = tile or (slice(0, height), slice(0, width))
    for piece, size in ((rows, height), (columns, width)):
        if piece.step is not None or not 0 <= piece.start < piece.stop <= size:
            raise ValueError(f"a tile of {piece} in {size} latents")

    # The caller may be in inference mode, whose tensors have no gradients: hence the clones.
    with known_state(grad=True):
        pixels, at = pixels.clone(), torch.tensor([index], device=pixels.device)
        with torch.no_grad():
            y = model.encode(pixels, at) if symbols is None else symbols.clone()
        objective = _Objective(model, pixels, at, _rounded(y), (rows, columns))
        y = y[..., rows, columns].clone()
        best = _rounded(y)
        before = after = objective.measured(best)
        if iterations:
            found = _rounded(_descended(objective, y, iterations, on_step))
            score = objective.measured(found)
            if score.loss < before.loss:
                best, after = found, score
        return Overfitted(best, before, after)


def _grid(model: ImageModel, pixels: Tensor) -> tuple[int, int]:
    """Of the latents of these pixels. Raises ValueError if there are none."""
    shape = tuple(pixels.shape)
    if len(shape) != 4 or shape[:2] != (1, 3) or any(not n or n % model.STRIDE for n in shape[2:]):
        raise ValueError(f"pixels {shape}, not (1, 3, H, W) with sides of multiples of {model.STRIDE}")
    return shape[2] // model.STRIDE, shape[3] // model.STRIDE


def _rounded(y: Tensor) -> Tensor:
    """To integers that a file can hold."""
    return y.detach().round().clamp(-LARGEST, LARGEST)


class _Objective:
    """Bits per pixel and mean squared error of a tile."""

    def __init__(
        self, model: ImageModel, pixels: Tensor, index: Tensor, around: Tensor, tile: tuple[slice, slice]
    ) -> None:
        self.model, self.index, self.around, self.tile = model, index, around, tile
        self.weight = float(tradeoff(float(index)))
        self.size = tile[0].stop - tile[0].start, tile[1].stop - tile[1].start
        self.count = model.STRIDE**2 * math.prod(self.size)
        reach = model.reach[1]
        # Slices may well end behind the last pixel.
        self.rows, self.columns = (
            slice(model.STRIDE * max(piece.start - reach, 0), model.STRIDE * (piece.stop + reach)) for piece in tile
        )
        self.pixels = pixels[..., self.rows, self.columns]

    def __call__(self, symbols: Tensor, half: bool = False) -> tuple[Tensor, Tensor]:
        """half: synthesis in bfloat16."""
        meter = RateMeter()
        self.model.walk(meter, self.index, self.size, symbols)
        whole = self.around.clone()
        whole[:, :, *self.tile] = symbols
        with torch.autocast(symbols.device.type, torch.bfloat16, enabled=half):
            decoded = self.model.decode(whole, self.index)[..., self.rows, self.columns]
        error = 255 * (decoded.clamp(0, 1) - self.pixels)
        return meter.bits().sum() / self.count, error.square().sum() / (3 * self.count)

    def measured(self, symbols: Tensor) -> Score:
        """Of integers, as in a file."""
        with torch.no_grad():
            bpp, mse = map(float, self(symbols))
        return Score(bpp, mse, bpp + self.weight * mse)


def _descended(
    objective: _Objective, y: Tensor, iterations: int, on_step: Callable[[int, float], None] | None
) -> Tensor:
    """Latents that are nearly integers."""
    y.requires_grad_()
    half = has_bfloat16(y.device)
    generator = torch.Generator(y.device).manual_seed(0)
    noise = NOISE * math.sqrt(min(1, iterations / PATIENCE))
    # Gradients of a bit per pixel are small: next to them the usual epsilon is not.
    optimizer = torch.optim.Adam([y], betas=(0.9, 0.99), eps=1e-12)
    for step in range(iterations):
        threads.check()
        progress = step / iterations
        optimizer.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * progress)) / 2
        bpp, mse = objective(annealed(y, WARM * (COLD / WARM) ** progress, noise, generator), half)
        loss = bpp + objective.weight * mse
        (y.grad,) = torch.autograd.grad(loss, y)
        optimizer.step()
        if on_step:
            on_step(step + 1, float(loss.detach()))
    return y.detach()


def annealed(y: Tensor, temperature: float, noise: float, generator: torch.Generator) -> Tensor:
    """Between the two integers next to y, mostly near the nearer; near one of them if the temperature is low.

    Of noise 1, the probabilities are those of Yang 2020; the difference of two Gumbel variables is a logistic one.
    """
    floor = y.detach().floor()
    above = (y - floor).clamp(EDGE, 1 - EDGE)
    uniform = torch.rand(y.shape, generator=generator, dtype=y.dtype, device=y.device).clamp(1e-6, 1 - 1e-6)
    logit = torch.atanh(above) - torch.atanh(1 - above)
    return floor + torch.sigmoid((logit + noise * torch.logit(uniform)) / temperature)


def has_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 take less time there than in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
