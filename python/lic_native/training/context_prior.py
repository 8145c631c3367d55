"""Learn the prior of the context model of JPEG coefficients, which is built into the extension as `prior.bin`.

It has three parts, learned in this order from JPEG files made of photographs: the prediction of a block's edge from its
neighbour (`fit_boundary`), the linear prediction of scales (`Scales`), and, given both, each context's first
distribution with the number of symbols it is worth (`fit_distributions`).
"""

from __future__ import annotations

import errno
import io
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .. import _native, threads
from ..arguments import to_count
from ..models.sampling import zigzag
from ..nn.ambient import known_state
from .data import CROP_DRAWS, SAMPLING_SHARES, SOFT, TABLE_DRAWS, Draws, Photographs, annex_k, random_tables
from .options import Options

__all__ = ["train"]

Array = NDArray[Any]

ROW, COLUMN = np.array(zigzag()).T
INNER = (ROW > 0) & (COLUMN > 0)
#: Order in which the context model codes the AC coefficients of a block.
ORDER = [k for k in range(63, 0, -1) if INNER[k]] + [k for k in range(63, 0, -1) if not INNER[k]]
#: Pixels on a side of half of the pictures.
CROP = 256
#: Blocks whose magnitudes are inputs: n, w, nw, ne, nn, ww, and the same block of the component coded before.
NEIGHBOURS = 7
SYMBOLS = 16
#: The largest number with the expected sign that has a symbol of its own.
WITH_SIGN = 9
LEVELS = 32
SIZES = 16


class Kind(NamedTuple):
    """Contexts of one kind: the shape they are numbered by, and the axes along which neighbours are alike."""

    shape: tuple[int, ...]
    alike: tuple[int, ...]


#: Contexts in the order in which the context model in Rust numbers them.
ROWS = {
    "inner": Kind((64, LEVELS), (0, 1)),
    "inner_last": Kind((64, LEVELS // 4), (0, 1)),
    "edge": Kind((16, SIZES, LEVELS // 2), (1, 2)),
    "edge_last": Kind((16, SIZES), (1,)),
    "beyond": Kind((17, SIZES, 2), (0, 1)),
    "end_high": Kind((32, SIZES), (0, 1)),
    "end_low": Kind((16, 64), (1,)),
    "dc": Kind((SIZES, SIZES), (0, 1)),
}
BITS = {"dc_sign": Kind((SIZES, 2), (0,))}
CLASSES = ("luma", "chroma")


def numbers(kinds: dict[str, Kind], name: str) -> slice:
    """Return the numbers of a kind's contexts."""
    sizes = [math.prod(kind.shape) for kind in kinds.values()]
    place = list(kinds).index(name)
    return slice(sum(sizes[:place]), sum(sizes[: place + 1]))


def count(kinds: dict[str, Kind]) -> int:
    return sum(math.prod(kind.shape) for kind in kinds.values())


@known_state(grad=True)
def train(
    data: str | Path, out: str | Path, *, files: int = 6000, steps: int = 1500, seed: int = 0, limit: int | None = None
) -> None:
    """Write `prior.bin` to `out`; the arguments are those of `train_context_prior`."""
    Options(data, out, steps=steps, limit=limit).check()
    to_count(files, "files", 1)
    if not Path(out).absolute().parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(Path(out).parent))
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    photographs = Photographs(data, limit=limit)
    made = [jpeg_file(photographs, generator) for _ in range(files)]
    pictures = [read(file) for file in made]
    boundary = fit_boundary(pictures, seed)
    weights = [fit_scales(Samples.of(pictures, boundary, name, seed), steps) for name in CLASSES]
    blank = [np.zeros(SYMBOLS * count(ROWS) + 2 * count(BITS), np.int16)] * len(CLASSES)
    begins = fit_distributions(counted(packed(boundary, weights, blank), made))
    Path(out).write_bytes(packed(boundary, weights, begins))


def packed(boundary: Array, weights: Sequence[Array], begins: Sequence[Array]) -> bytes:
    """Return the bytes of `prior.bin`, as `prior.rs` reads them."""
    classes = [part for pair in zip(weights, begins) for part in pair]
    return b"".join(part.astype("<i2").tobytes() for part in (boundary, *classes))


# JPEG files.


def jpeg_file(photographs: Photographs, generator: torch.Generator) -> bytes:
    """Return a JPEG file of a crop, a whole photograph or a thumbnail, with random tables and sampling.

    Coarse tables are more frequent than in `random_tables`.
    """
    kind, scale, pick, coarse, quality, soft = torch.rand(6, generator=generator).tolist()
    image = Image.fromarray(photographs.training[int(pick * len(photographs.training))].numpy())
    if kind < 0.5:
        draws = Draws.zeros(1, CROP_DRAWS, CROP).refill(generator)
        image = Image.fromarray(photographs.crops(draws, CROP, int(soft < SOFT))[0].numpy())
    if kind > 0.75:
        shrink = 64 * 4**scale / min(image.size)
        image = image.resize((round(image.width * shrink), round(image.height * shrink)), Image.Resampling.LANCZOS)
    shares = torch.tensor(list(SAMPLING_SHARES.values()))
    sampling = list(SAMPLING_SHARES)[int(torch.multinomial(shares, 1, generator=generator))]
    drawn = (
        annex_k(torch.tensor([25 + 70 * quality]).floor())
        if coarse < 0.3
        else random_tables(torch.rand(1, TABLE_DRAWS, generator=generator))
    )
    tables = np.zeros((2, 64), np.int64)
    tables[:, 8 * ROW + COLUMN] = drawn[0].numpy()
    buffer = io.BytesIO()
    if sampling == "gray":
        image.convert("L").save(buffer, "JPEG", qtables=tables[:1].tolist())
    else:
        image.save(buffer, "JPEG", qtables=tables.tolist(), subsampling=sampling)
    return buffer.getvalue()


class Plane(NamedTuple):
    """A component: blocks `[H, W, 64]` in zig-zag order, their quantisers, and the bits of a block in the JPEG file."""

    blocks: NDArray[np.int16]
    quantisers: NDArray[np.float32]
    bits: float


def read(file: bytes) -> list[Plane]:
    frame, planes, _ = _native.jpeg_read(file)
    bits = 8 * len(file) / sum(component.blocks_h * component.blocks_w for component in frame.components)
    return [
        Plane(plane.reshape(c.blocks_h, c.blocks_w, 64), np.array(c.quant, np.float32), bits)
        for plane, c in zip(planes, frame.components)
    ]


def square(values: Array) -> Array:
    """Return values `[..., 64]` in zig-zag order as `[..., 8, 8]`."""
    squares = np.empty((*values.shape[:-1], 8, 8), values.dtype)
    squares[..., ROW, COLUMN] = values
    return squares


def ends(blocks: Array) -> Array:
    """Return the index of each block's last coefficient that is not 0, or 0."""
    last: Array = np.where(blocks != 0, np.arange(64), 0).max(-1)
    return last


def chosen(shape: tuple[int, int], most: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return rows and columns of up to `most` random blocks."""
    picks = rng.permutation(math.prod(shape))[:most]
    return np.divmod(picks, shape[1])


# Prediction across the boundary of blocks.

#: Blocks of a file that are examples, in each direction.
BOUNDARY_BLOCKS = 40


def fit_boundary(pictures: Sequence[Sequence[Plane]], seed: int) -> Array:
    """Return `[8, 15]` weights in 2^-10: for each row u, of F(u, 0..8) of the left block and of F(u, 1..8).

    Each picture is an example on its side as well, so rows and columns get the same weights.
    """
    rng = np.random.default_rng(seed)
    examples: list[tuple[Array, ...]] = []
    for luma, *_ in pictures:
        values, quantisers = square(luma.blocks * luma.quantisers), square(luma.quantisers)
        coded = square(np.arange(64) <= ends(luma.blocks)[..., None])
        for turned in (False, True):
            if turned:
                values, coded, quantisers = values.transpose(1, 0, 3, 2), coded.transpose(1, 0, 3, 2), quantisers.T
            y, x = chosen((values.shape[0], values.shape[1] - 1), BOUNDARY_BLOCKS, rng)
            known = np.concatenate([values[y, x], values[y, x + 1, :, 1:]], -1)
            column = np.broadcast_to(quantisers[:, 0], (len(y), 8))
            examples.append((known, values[y, x + 1, :, 0], coded[y, x + 1, :, 0], column))
    known, target, coded, units = (np.concatenate(parts) for parts in zip(*examples))
    # DC is predicted by the left block's DC.
    target[:, 0] -= known[:, 0, 0]
    known[:, 0, 0] = 0
    weights = np.stack([robust(*(part[coded[:, u], u] for part in (known, target, units))) for u in range(8)])
    weights[0, 0] = 1
    return np.round(1024 * weights).clip(-0x7FFF, 0x7FFF)


def robust(known: Array, target: Array, unit: Array) -> Array:
    """Return the linear prediction that minimises Σ log(unit² + error²), which approximates the bits of the errors."""
    known, target = known.astype(np.float64), target.astype(np.float64)
    error = np.zeros(len(target))
    ridge = 1e-3 * np.eye(known.shape[1])
    for _ in range(12):
        weighted = known / (unit**2 + error**2)[:, None]
        solution = np.linalg.solve(weighted.T @ known + ridge, weighted.T @ target)
        error = target - known @ solution
    return solution


# Linear prediction of scales.

#: Blocks of a component that are examples.
SCALE_BLOCKS = 80
BATCH = 4096


def size(number: Array) -> Array:
    """Return the size class of a number, as the context model in Rust does."""
    octave = np.log2(np.maximum(number, 1)).astype(np.int64)
    half = (number.astype(np.int64) << 1 >> octave) & 1
    return np.where(number == 0, 0, np.minimum(1 + 2 * octave + half, SIZES - 1))


def symbol(number: Array) -> Array:
    """Return the symbol of a number that is not negative, as the context model in Rust does."""
    octave = np.log2(np.maximum(number, 1)).astype(np.int64)
    return np.where(
        number < 10, number, np.where(number < 12, 10, np.where(number < 16, 11, np.minimum(8 + octave, 15)))
    )


def signed_symbol(number: Array) -> Array:
    return np.where(number >= 0, np.minimum(number, WITH_SIGN), WITH_SIGN - np.maximum(number, WITH_SIGN - 15))


def around(logarithms: Array) -> Array:
    """Return `[H, W, 6, 64]` logarithms of the neighbours; outside of the picture, of the nearest block inside."""
    n, w = np.zeros_like(logarithms), np.zeros_like(logarithms)
    n[1:] = logarithms[:-1]
    n[0, 1:] = logarithms[0, :-1]
    w[:, 1:], w[:, 0] = logarithms[:, :-1], n[:, 0]
    nw, ne, nn, ww = n.copy(), n.copy(), n.copy(), w.copy()
    nw[1:, 1:] = logarithms[:-1, :-1]
    ne[1:, :-1] = logarithms[:-1, 1:]
    nn[2:] = logarithms[:-2]
    ww[:, 2:] = logarithms[:, :-2]
    return np.stack([n, w, nw, ne, nn, ww], 2)


def expectations(plane: Plane, boundary: Array) -> Array:
    """Return the predicted first row and column of each block, `[H, W, 64]`, in quarters of the quantiser."""
    values = square(plane.blocks * plane.quantisers)
    expected = np.zeros_like(values)
    for turned in (False, True):
        of, on = (a.transpose(1, 0, 3, 2) if turned else a for a in (values, expected))
        inside = of[..., 1:].copy()
        inside[:, :, 0] = 0
        on[..., 1:, 0] = np.einsum("uv,yxuv->yxu", boundary[:, 8:], inside)[..., 1:]
        on[:, 1:, 1:, 0] += np.einsum("uv,yxuv->yxu", boundary[:, :8], of[:, :-1])[..., 1:]
    return np.floor(expected[..., ROW, COLUMN] * (4 / 1024) / plane.quantisers)


class Samples(NamedTuple):
    """Blocks of one class with their inputs."""

    values: Tensor
    """Logarithms of magnitudes, `[N, 64]`."""
    around: Tensor
    """Logarithms of the neighbours' magnitudes, `[N, 7, 64]`."""
    quantisers: Tensor
    """Logarithms of quantisers, `[N, 64]`."""
    ends: Tensor
    symbols: Tensor
    """`[N, 64]`."""
    rows: Tensor
    """Context of each symbol at level 0, `[N, 64]`; -1 where there is no symbol or no level."""
    shares: Tensor
    """Weight of each block's bits."""

    @classmethod
    def of(
        cls, pictures: Sequence[Sequence[Plane]], boundary: Array, name: str, seed: int, most: int = SCALE_BLOCKS
    ) -> Samples:
        rng = np.random.default_rng(seed)
        parts: list[tuple[Array, ...]] = []
        for planes in pictures:
            for index, plane in enumerate(planes):
                if (index > 0) == (name == "chroma"):
                    y, x = chosen(plane.blocks.shape[:2], most, rng)
                    parts.append(cls._of(plane, planes[1] if index == 2 else None, boundary, y, x))
        return cls(*(torch.from_numpy(np.concatenate(part)) for part in zip(*parts)))

    @staticmethod
    def _of(plane: Plane, reference: Plane | None, boundary: Array, y: Array, x: Array) -> tuple[Array, ...]:
        logarithms = np.log2(1 + np.abs(plane.blocks.astype(np.float32))).astype(np.float16)
        neighbours = around(logarithms)[y, x]
        same = np.zeros_like(logarithms[y, x])
        if reference is not None:
            same = np.log2(1 + np.abs(reference.blocks[y, x].astype(np.float32))).astype(np.float16)
        quantisers = np.broadcast_to(np.log2(plane.quantisers).astype(np.float16), same.shape)
        blocks = plane.blocks[y, x].astype(np.int64)
        end = ends(blocks)
        k = np.arange(64)
        last = k == end[:, None]
        expected = expectations(plane, boundary)[y, x].astype(np.int64)
        toward = np.where(expected < 0, -blocks, blocks)
        symbols = np.where(INNER, symbol(np.abs(blocks) - last), signed_symbol(toward))
        number = 2 * (ROW + COLUMN) + (ROW == 0)
        row = np.where(
            INNER,
            np.where(last, numbers(ROWS, "inner_last").start + k * (LEVELS // 4), k * LEVELS),
            numbers(ROWS, "edge").start + (number * SIZES + size(np.abs(expected))) * (LEVELS // 2),
        )
        row = np.where((k > end[:, None]) | (k == 0) | (last & ~INNER), -1, row)
        shares = np.full(len(y), 1 / math.sqrt(plane.bits), np.float32)
        return (
            logarithms[y, x],
            np.concatenate([neighbours, same[:, None]], 1),
            quantisers,
            end,
            symbols.astype(np.uint8),
            row.astype(np.int16),
            shares,
        )


def known_before() -> Tensor:
    """Return `[64, 64]`: 1 where a coefficient (first index) is known when the level of another one is computed.

    The coefficient coded just before does not count yet.
    """
    known = torch.zeros(64, 64)
    for place, k in enumerate(ORDER):
        known[k, ORDER[place + 2 :]] = 1
    return known


class Scales(torch.nn.Module):
    """Scales as linear sums, and distributions at each level, which serve only to learn the sums."""

    def __init__(self) -> None:
        super().__init__()
        self.last = torch.nn.Parameter(torch.full((64, 64), -1.0))
        self.within = torch.nn.Parameter(torch.zeros(64, 64))
        self.around = torch.nn.Parameter(torch.full((NEIGHBOURS, 64), 0.1))
        self.quantiser = torch.nn.Parameter(torch.zeros(64))
        self.logits = torch.nn.Parameter(torch.cat([geometric(name) for name in ("inner", "inner_last", "edge")]))
        self.register_buffer("known", known_before())

    def forward(self, samples: Samples) -> Tensor:
        """Return the bits of each block that depend on scales."""
        scales = self.last[samples.ends] + samples.values.float() @ (self.within * self.known)
        scales = scales + (samples.around.float() * self.around).sum(1)
        scales = scales + samples.quantisers.float() * self.quantiser
        block, k = (samples.rows >= 0).nonzero(as_tuple=True)
        row, symbols = samples.rows[block, k].long(), samples.symbols[block, k].long()
        # The levels that a row of this kind is for, as a position among the kind's rows.
        inner_last, edge = (numbers(ROWS, name).start for name in ("inner_last", "edge"))
        width = torch.where(row < inner_last, 1, torch.where(row < edge, 4, 2))
        level = ((scales[block, k] + 3) * 4.5).clamp(0, LEVELS) / width - 0.5
        low = torch.minimum(level.detach().floor().clamp_min(0).long(), LEVELS // width - 2)
        share = (level - low).clamp(0, 1)
        bits = self.logits.log_softmax(1).flatten() / -math.log(2)
        place = (row + low) * SYMBOLS + symbols
        costs = bits[place] * (1 - share) + bits[place + SYMBOLS] * share
        return torch.zeros(len(scales)).index_add(0, block, costs)

    def integers(self) -> Array:
        """[`Weights`] of `prior.rs`."""
        known = self.get_buffer("known")
        parts = (1024 * self.last, 2**14 * self.within * known, 2**14 * self.around, 2**14 * self.quantiser[None])
        return torch.cat(parts).detach().round().clamp(-0x7FFF, 0x7FFF).numpy()


def geometric(name: str) -> Tensor:
    """Logits of numbers whose scale is in the middle of each level: where learning begins."""
    shape = ROWS[name].shape
    width = LEVELS // shape[-1]
    scale = torch.exp((torch.arange(shape[-1]) + 0.5) * width / 4.5 - 3)[:, None]

    def beyond(number: Sequence[float]) -> Tensor:
        return torch.exp(-(torch.tensor(number) - 0.5).clamp_min(0) / scale)

    if name == "edge":
        there, back = beyond(range(WITH_SIGN + 1)), beyond(range(1, SYMBOLS - WITH_SIGN))
        there[:, :-1] -= there[:, 1:].clone()
        back[:, :-1] -= back[:, 1:].clone()
        there[:, 1:] /= 2
        shares = torch.cat([there, back / 2], 1)
    else:
        shares = beyond([*range(10), 10, 12, 16, 32, 64, 128])
        shares[:, :-1] -= shares[:, 1:].clone()
    return (shares + 1e-4).log().expand(math.prod(shape[:-1]), -1, -1).flatten(0, 1)


def fit_scales(samples: Samples, steps: int) -> Array:
    model = Scales()
    optimizer = torch.optim.Adam(model.parameters(), 2e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        picks = torch.randint(len(samples.ends), (BATCH,))
        batch = Samples(*(part[picks] for part in samples))
        loss = (model(batch) * batch.shares).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            print(json.dumps({"step": step, "loss": round(float(loss.detach()), 4)}), flush=True)
    return model.integers()


# First distributions of the contexts.

#: How many symbols of a file a beginning may be worth, of which the likeliest is taken for each context: it is what the
#: context claims to have seen. From 90 on the coder learns no more slowly.
WORTHS = 2.0 ** np.arange(8)
#: Files by which that is judged.
WORTH_FILES = 2000
#: Worth, in symbols, of a context's neighbours, and of all contexts of its kind.
NEIGHBOURS_WORTH, KIND_WORTH = 6.0, 4.0


class Counts(NamedTuple):
    """How often each symbol occurs in those contexts that a file meets."""

    contexts: NDArray[np.intp]
    symbols: NDArray[np.uint16]
    """`[contexts, symbols]`."""

    @classmethod
    def of(cls, counts: NDArray[np.uint32]) -> Counts:
        met = np.flatnonzero(counts.any(1))
        return cls(met, np.minimum(counts[met], 0xFFFF).astype(np.uint16))


def counted(prior: bytes, files: Sequence[bytes]) -> list[list[tuple[Counts, Counts]]]:
    """For each file and class what coding takes of the rows and of the bits; of `prior` only the weights matter."""

    def counts(file: bytes) -> list[tuple[Counts, Counts]]:
        statistics = _native.context_statistics(prior, [file])
        return [(Counts.of(rows.reshape(-1, SYMBOLS)), Counts.of(bits.reshape(-1, 2))) for rows, bits in statistics]

    return threads.share(counts, files, threads.available())


def fit_distributions(by_file: Sequence[Sequence[tuple[Counts, Counts]]]) -> list[Array]:
    """Return for each class the integers of its distributions of symbols and of bits."""
    begins = []
    for index in range(len(CLASSES)):
        rows, bits = zip(*(classes[index] for classes in by_file))
        shares, worth = beginnings(rows, ROWS)
        # Each symbol keeps a minimum frequency (`adaptive.rs`); the shares divide the other slots.
        slots = np.round((2**15 - 2 * SYMBOLS) * (np.cumsum(shares, 1) - shares)) + 2 * np.arange(SYMBOLS)
        slots[:, 0] = worth
        shares, worth = beginnings(bits, BITS)
        begins.append(np.concatenate([slots.ravel(), np.stack([worth, 0xFFFF * shares[:, 0]], 1).ravel()]))
    return [begin.round().astype(np.uint16).view(np.int16) for begin in begins]


def beginnings(files: Sequence[Counts], kinds: dict[str, Kind]) -> tuple[Array, Array]:
    """Return for each context the shares of symbols, and their worth as a number of symbols.

    Files differ, so each file is modelled as drawing its shares from a Dirichlet distribution. In the estimate of its
    mean, a symbol counts less the more of them its file has.
    """
    shape = (count(kinds), files[0].symbols.shape[1])
    worth = np.full(shape[0], 32.0)
    for _ in range(2):
        total = np.zeros(shape)
        for contexts, symbols in files:
            sums = symbols.sum(1)
            total[contexts] += symbols * (worth[contexts] / (sums + worth[contexts]))[:, None]
        shares = smoothed(total, kinds)
        worth = worths(files[:WORTH_FILES], shares, kinds)
    return shares, worth


def smoothed(total: Array, kinds: dict[str, Kind]) -> Array:
    """Return shares from counts; few counts are mixed with those of neighbouring contexts."""
    shares = np.zeros_like(total)
    for name, kind in kinds.items():
        counts = total[numbers(kinds, name)].reshape(*kind.shape, -1)
        near = counts
        for axis in kind.alike * 2:
            ahead, behind = np.zeros_like(near), np.zeros_like(near)
            lower, upper = [slice(None)] * near.ndim, [slice(None)] * near.ndim
            lower[axis], upper[axis] = slice(None, -1), slice(1, None)
            ahead[tuple(lower)], behind[tuple(upper)] = near[tuple(upper)], near[tuple(lower)]
            near = near + (ahead + behind) / 2
        of_kind = counts.sum(tuple(range(len(kind.shape)))) + 0.1
        near = near + KIND_WORTH * of_kind / of_kind.sum()
        mixed = counts + NEIGHBOURS_WORTH * near / near.sum(-1, keepdims=True)
        shares[numbers(kinds, name)] = (mixed / mixed.sum(-1, keepdims=True)).reshape(-1, total.shape[1])
    return shares


def worths(files: Sequence[Counts], shares: Array, kinds: dict[str, Kind]) -> Array:
    """Return the likeliest of `WORTHS` for each context, from its own files and from those of its whole kind."""
    bits = np.zeros((len(WORTHS), len(shares)))
    for contexts, symbols in files:
        met, which = symbols.nonzero()
        drawn = torch.from_numpy(symbols[met, which].astype(np.float64))
        sums = torch.from_numpy(symbols.sum(1, dtype=np.float64))
        for place, worth in enumerate(WORTHS):
            before = torch.from_numpy(worth * shares[contexts[met], which])
            gain = np.bincount(met, (before.lgamma() - (before + drawn).lgamma()).numpy(), len(contexts))
            bits[place, contexts] += gain + (sums + worth).lgamma().numpy() - math.lgamma(worth)
    likeliest = np.zeros(len(shares))
    for name in kinds:
        of_kind = bits[:, numbers(kinds, name)]
        mean = of_kind.mean(1, keepdims=True)
        likeliest[numbers(kinds, name)] = WORTHS[(of_kind + mean / 10).argmin(0)]
    return likeliest
