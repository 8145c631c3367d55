"""JPEG coefficient model after MLCC: Guo et al., "Practical Learned Lossless JPEG Recompression with Multi-Level
Cross-Channel Entropy Model in the DCT Domain", CVPR 2022 (arXiv 2203.16357). Context only: no side information is sent.

    Cr --4 phases--> Cb | Cr --4 phases--> Y | Cb, Cr --4 phases, the first in 4 sub-phases-->

    a phase:   coded planes --3x3 conv--> t, linear skip ----+
               log q        --MLP-------> FiLM(t) -- 1x1 --> head --9 frequency groups, high to low--> mixture -> coder
               chroma       --3x3 conv--> +                   ^--- groups of this phase already coded

A *phase* is one of the 2x2 positions of the block grid (the paper's four spatial rows); a *group* is a run of zig-zag
frequencies (its nine columns: 28, 8, 7, 6, 5, 4, 3, 2 and 1 wide). All coefficients of a phase and group are coded in
one step, so a 4:2:0 picture takes 24 + 24 + 63 steps whatever its size.

Departures from the paper: two logistic distributions a coefficient instead of one Laplacian; every input and output is
relative to the frequency's standard deviation divided by its quantiser, and FiLM from the quantisation tables serves
all qualities with one set of weights; the first luma phase is split once more, since it has the least context.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..coder import Coder, Mixture

PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
LUMA_GROUPS = ((36, 64), (28, 36), (21, 28), (15, 21), (10, 15), (6, 10), (3, 6), (1, 3), (0, 1))
CHROMA_GROUPS = ((28, 64), (15, 28), (6, 15), (3, 6), (1, 3), (0, 1))
#: Chroma blocks per 2x2 luma blocks, (vertical, horizontal); () is no chroma. 4:4:0 is 4:2:2 on its side.
SAMPLINGS = {"4:2:0": (1, 1), "4:2:2": (2, 1), "4:4:4": (2, 2), "gray": ()}


@dataclass(frozen=True)
class Config:
    """Widths of the network. The defaults are the profile `fast`: about 5.6 kMAC a luma pixel."""

    luma_width: int = 96
    luma_head: int = 64
    luma_skip: int = 21
    chroma_width: int = 64
    chroma_head: int = 32
    chroma_skip: int = 10
    chroma_context: int = 64
    table_width: int = 32


class Picture(NamedTuple):
    """Quantised DCT coefficients of one picture (or of a batch of equal shape).

    luma: `[B, H, W, 64]` blocks in zig-zag order, as floats that hold integers; H and W are multiples of 4.
    chroma: (Cr, Cb), each `[B, H/2*v, W/2*h, 64]` with (v, h) from `SAMPLINGS`; empty for gray.
    """

    luma: Tensor
    chroma: tuple[Tensor, ...]


class Shape(NamedTuple):
    """What is known of a picture before its coefficients: grid sizes in blocks, without padding.

    luma, chroma: (rows, columns) of blocks. Only these are coded; the padded rest is zero.
    """

    sampling: str
    luma: tuple[int, int]
    chroma: tuple[int, int]


def leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.125)


def space_to_depth(x: Tensor, v: int, h: int) -> Tensor:
    """`[B, H*v, W*h, C]` -> `[B, H, W, v*h*C]`."""
    if v == h == 1:
        return x
    b, height, width, c = x.shape
    x = x.view(b, height // v, v, width // h, h, c).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(b, height // v, width // h, v * h * c)


def conv(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution over `[B, H, W, C]`."""
    return layer(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Features(nn.Module):
    """Coefficients of a coded plane -> channels of context, `[B, H, W, 64]` -> `[B, H, W, channels]`."""

    def __init__(self, bands: int, pools: Tensor) -> None:
        super().__init__()
        self.bands = bands
        self.register_buffer("pools", pools, persistent=False)
        self.channels = 2 * bands + pools.shape[1] + 1

    def forward(self, x: Tensor, inverse: Tensor) -> Tensor:
        low = signed_and_magnitude(x[..., : self.bands], inverse[..., : self.bands])
        pooled = torch.log1p(x.abs() @ self.pools)
        return torch.cat([low, pooled, torch.ones_like(pooled[..., :1])], -1)


def signed_and_magnitude(x: Tensor, inverse: Tensor) -> Tensor:
    """Coefficients in units of their standard deviation, and their companded magnitudes: `[..., n]` -> `[..., 2n]`."""
    x = x * inverse
    return torch.cat([x.clamp(-6, 6), torch.log1p(2 * x.abs())], -1)


def luma_pools() -> Tensor:
    """High frequencies summed by orientation and band (6 pools), and all AC energy (1): `[64, 7]`."""
    pools = torch.zeros(64, 7)
    for k, (row, column) in enumerate(zigzag()):
        if k >= 28:
            orientation = 0 if row > column + 2 else 2 if column > row + 2 else 1
            pools[k, orientation + 3 * (k >= 36)] = 1
        pools[k, 6] = k > 0
    return pools


def chroma_pools() -> Tensor:
    pools = torch.zeros(64, 1)
    pools[15:] = 1
    return pools


def zigzag() -> list[tuple[int, int]]:
    """(row, column) of each zig-zag index (ITU-T T.81, figure A.6)."""
    order = []
    for s in range(15):
        diagonal = [(i, s - i) for i in range(max(0, s - 7), min(7, s) + 1)]
        order += diagonal if s % 2 else diagonal[::-1]
    return order


class Trunk(nn.Module):
    """Context of one phase: planes coded before -> hidden state `[B, H, W, width]` and a linear guess at the means."""

    def __init__(self, inputs: int, width: int, skip: int, table_width: int, side: int) -> None:
        super().__init__()
        self.width, self.skip = width, skip
        self.context = nn.Conv2d(inputs, width + skip, 3, padding=1, bias=False) if inputs else None
        self.side = nn.Linear(side, width, bias=False) if side else None
        self.film = nn.Linear(table_width, 2 * width)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)
        with torch.no_grad():
            self.film.weight.mul_(0.3)
            if self.context is not None:
                self.context.weight[width:].mul_(0.05)

    def forward(self, planes: Tensor | None, side: Tensor | None, embedding: Tensor, grid: tuple[int, int, int]):
        gain, shift = self.film(embedding)[:, None, None].split(self.width, -1)
        if self.context is not None:
            t, skip = conv(self.context, planes).split([self.width, self.skip], -1)
        else:
            t, skip = embedding.new_zeros(*grid, self.width), embedding.new_zeros(*grid, self.skip)
        if self.side is not None and side is not None:
            t = t + self.side(side)
        t = leaky(t * (1 + gain) + shift)
        return t + self.outer(leaky(self.inner(t))), skip


class Head(nn.Module):
    """The frequency groups of a phase, high to low: what each may see is what the groups before it have coded."""

    def __init__(self, groups, width: int, hidden: int, skip: int) -> None:
        super().__init__()
        self.groups, self.hidden, self.skip = groups, hidden, skip
        self.state = nn.Linear(width, len(groups) * hidden)
        self.known = nn.ModuleList(nn.Linear(2 * (64 - b), hidden, bias=False) for _, b in groups[1:])
        self.mean = nn.ModuleList(nn.Linear(64 - b, b - a, bias=False) for a, b in groups[1:])
        self.out = nn.ModuleList(nn.Linear(hidden, 5 * (b - a)) for a, b in groups)
        with torch.no_grad():
            for layer in self.mean:
                layer.weight.zero_()
            for layer in self.out:
                layer.weight.mul_(0.3)
                layer.bias.view(-1, 5).copy_(torch.tensor([0.0, 0.0, -1.6, -0.4, 0.0]))

    def code(self, coder: Coder, t: Tensor, skip: Tensor, log_sigma: Tensor, x: Tensor | None) -> Tensor:
        """t `[B, H, W, width]`, skip `[B, H, W, skip]`, log_sigma `[B, 64]` -> coefficients `[B, H, W, 64]`."""
        states = self.state(t).split(self.hidden, -1)
        log_sigma = log_sigma[:, None, None]
        inverse = (-log_sigma).exp()
        signed, magnitude, coded = [], [], []
        for g, (a, b) in enumerate(self.groups):
            hidden, mean = states[g], None
            if g:
                known = torch.cat(signed, -1)
                mean = self.mean[g - 1](known)
                hidden = hidden + self.known[g - 1](torch.cat([known, *magnitude], -1))
            if b <= self.skip:
                mean = skip[..., a:b] if mean is None else mean + skip[..., a:b]
            raw = self.out[g](leaky(hidden)).unflatten(-1, (b - a, 5))
            y = coder.code(Mixture(raw, mean, log_sigma[..., a:b]), None if x is None else x[..., a:b])
            coded.insert(0, y)
            s, m = signed_and_magnitude(y, inverse[..., a:b]).chunk(2, -1)
            signed.append(s)
            magnitude.append(m)
        return torch.cat(coded, -1)


class Mlcc(nn.Module):
    """The model. `walk` is its only traversal: encoder, decoder and rate meter differ only in the coder they pass.

    sigma: `[2, 64]` standard deviations of dequantised luma and chroma coefficients over the training set.
    """

    def __init__(self, sigma: Tensor, config: Config = Config()) -> None:
        super().__init__()
        self.config = c = config
        self.register_buffer("sigma", sigma.float())
        self.luma_features = Features(28, luma_pools())
        self.chroma_features = Features(15, chroma_pools())
        luma, chroma = self.luma_features.channels, self.chroma_features.channels
        self.tables = nn.Sequential(
            nn.Linear(128 + len(SAMPLINGS), 64), nn.LeakyReLU(0.125), nn.Linear(64, c.table_width)
        )
        self.chroma_trunks = nn.ModuleList(
            Trunk(chroma * k, c.chroma_width, c.chroma_skip, c.table_width, 0) for k in range(8)
        )
        self.chroma_heads = nn.ModuleList(
            Head(CHROMA_GROUPS, c.chroma_width, c.chroma_head, c.chroma_skip) for _ in range(2)
        )
        self.chroma_context = nn.ModuleDict(
            {
                name: nn.Conv2d(2 * chroma * ratio[0] * ratio[1], c.chroma_context, 3, padding=1)
                for name, ratio in SAMPLINGS.items()
                if ratio
            }
        )
        self.luma_trunks = nn.ModuleList(
            Trunk(luma * k, c.luma_width, c.luma_skip, c.table_width, c.chroma_context) for k in (0, 1, 2, 3, 1, 2, 3)
        )
        self.luma_heads = nn.ModuleList(Head(LUMA_GROUPS, c.luma_width, c.luma_head, c.luma_skip) for _ in range(4))

    def settings(self) -> dict:
        return asdict(self.config)

    def walk(self, coder: Coder, shape: Shape, tables: Tensor, picture: Picture | None = None) -> Picture:
        """Code every coefficient of a picture through `coder`.

        Args:
            shape: the picture's sampling and sizes in blocks.
            tables: `[B, 2 or 3, 64]` quantisation tables of Y and Cb (and Cr, if it differs), zig-zag order; gray
                repeats the one it has.
            picture: the coefficients when they are known (encoding, measuring), None when decoding.

        Returns:
            The coefficients, known or decoded.
        """
        log_q = tables.float().log()
        one_hot = [float(shape.sampling == name) for name in SAMPLINGS]
        embedding = self.tables(
            torch.cat([log_q[:, :2].flatten(1) - 3, log_q.new_tensor([one_hot]).expand(len(log_q), -1)], -1)
        )
        log_sigma = self.sigma.log()
        chroma: list[Tensor] = []
        context = None
        if SAMPLINGS[shape.sampling]:
            levels = [log_sigma[1] - log_q[:, -1], log_sigma[1] - log_q[:, 1]]
            chroma = self._walk_chroma(coder, shape, levels, embedding, picture.chroma if picture else None)
            features = [self.chroma_features(x, inverse(level)) for x, level in zip(chroma, levels)]
            planes = space_to_depth(torch.cat(features, -1), *SAMPLINGS[shape.sampling])
            context = leaky(conv(self.chroma_context[shape.sampling], planes))
        level = log_sigma[0] - log_q[:, 0]
        luma = self._walk_luma(coder, shape, level, embedding, context, picture.luma if picture else None)
        return Picture(luma, tuple(chroma))

    def _walk_chroma(self, coder, shape, levels, embedding, known) -> list[Tensor]:
        height, width = (-(-n // 2) for n in shape.chroma)
        planes: list[Tensor] = []
        result = []
        for c in range(2):
            phases = []
            for p, (i, j) in enumerate(PHASES):
                context = torch.cat(planes, -1) if planes else None
                state = self.chroma_trunks[4 * c + p](context, None, embedding, (len(embedding), height, width))
                x = None if known is None else known[c][:, i::2, j::2]
                coded = code_phase(coder, self.chroma_heads[c], state, levels[c], x, phase_size(shape.chroma, i, j))
                phases.append(coded)
                planes.append(self.chroma_features(coded, inverse(levels[c])))
            result.append(interleave(phases))
        return result

    def _walk_luma(self, coder, shape, level, embedding, context, known) -> Tensor:
        height, width = (4 * -(-n // 4) // 2 for n in shape.luma)
        phases: list[Tensor] = []
        planes: list[Tensor] = []
        for p, (i, j) in enumerate(PHASES):
            x = None if known is None else known[:, i::2, j::2]
            size = phase_size(shape.luma, i, j)
            if p == 0:
                coded = self._walk_first_phase(coder, size, level, embedding, context, x, (height // 2, width // 2))
            else:
                grid = (len(embedding), height, width)
                state = self.luma_trunks[3 + p](torch.cat(planes, -1), context, embedding, grid)
                coded = code_phase(coder, self.luma_heads[p], state, level, x, size)
            phases.append(coded)
            planes.append(self.luma_features(coded, inverse(level)))
        return interleave(phases)

    def _walk_first_phase(self, coder, size, level, embedding, context, known, grid) -> Tensor:
        phases: list[Tensor] = []
        planes: list[Tensor] = []
        for p, (i, j) in enumerate(PHASES):
            side = None if context is None else context[:, i::2, j::2]
            before = torch.cat(planes, -1) if planes else None
            state = self.luma_trunks[p](before, side, embedding, (len(embedding), *grid))
            x = None if known is None else known[:, i::2, j::2]
            coded = code_phase(coder, self.luma_heads[0], state, level, x, phase_size(size, i, j))
            phases.append(coded)
            planes.append(self.luma_features(coded, inverse(level)))
        return interleave(phases)


def inverse(level: Tensor) -> Tensor:
    return (-level).exp()[:, None, None]


def phase_size(size: tuple[int, int], i: int, j: int) -> tuple[int, int]:
    """How many rows and columns of a grid fall on phase (i, j)."""
    return (size[0] - i + 1) // 2, (size[1] - j + 1) // 2


def code_phase(coder, head: Head, state, level: Tensor, x: Tensor | None, size: tuple[int, int]) -> Tensor:
    """Code the part of a phase that lies inside the picture; the padding around it is zero."""
    t, skip = state
    height, width = t.shape[1:3]
    rows, columns = size
    inside = (slice(None), slice(rows), slice(columns))
    coded = head.code(coder, t[inside], skip[inside], level, None if x is None else x[inside])
    if (rows, columns) != (height, width):
        coded = F.pad(coded, (0, 0, 0, width - columns, 0, height - rows))
    return coded


def interleave(phases: list[Tensor]) -> Tensor:
    """Four phases `[B, H, W, C]`, in the order of `PHASES`, -> `[B, 2H, 2W, C]`."""
    at = dict(zip(PHASES, phases))
    rows = [torch.stack([at[i, 0], at[i, 1]], 3).flatten(2, 3) for i in range(2)]
    return torch.stack(rows, 2).flatten(1, 2)
