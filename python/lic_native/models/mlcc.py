"""JPEG coefficient model after MLCC: Guo et al., "Practical Learned Lossless JPEG Recompression with Multi-Level
Cross-Channel Entropy Model in the DCT Domain", CVPR 2022 (arXiv 2203.16357). The paper's side information is in
`hyperprior.py`; the shipped models send none, context does the work.

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

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from .. import _native
from ..coding.coder import Coder, Mixture, RateMeter
from ..nn.ambient import known_state
from ..nn.checkpoint import fingerprint, read_weights
from ..nn.exact import (
    SLOPE,
    Linear,
    Normalise,
    Snap,
    check_exact,
    constant,
    conv3x3,
    fix_linear,
    fix_weight,
    log2_table,
)
from .hyperprior import Hyperprior, Priors
from .sampling import PHASES, SAMPLINGS, Picture, Shape, interleave, padded, phase_size, space_to_depth, zigzag

__all__ = [
    "CHROMA_GROUPS",
    "LUMA_GROUPS",
    "PROFILES",
    "Config",
    "Features",
    "Head",
    "Mlcc",
    "Scale",
    "Trunk",
    "chroma_pools",
    "code_phase",
    "frozen",
    "luma_pools",
    "repeated",
]

LUMA_GROUPS = ((36, 64), (28, 36), (21, 28), (15, 21), (10, 15), (6, 10), (3, 6), (1, 3), (0, 1))
CHROMA_GROUPS = ((28, 64), (15, 28), (6, 15), (3, 6), (1, 3), (0, 1))


@dataclass(frozen=True)
class Config:
    """Widths of the network. The defaults are the profile `fast`: about 5.5 kMAC a luma pixel.

    hyper: channels of side information, a vector every 8x8 luma blocks; 0 sends none.
    """

    luma_width: int = 96
    luma_head: int = 64
    luma_skip: int = 21
    chroma_width: int = 64
    chroma_head: int = 32
    chroma_skip: int = 10
    chroma_context: int = 64
    table_width: int = 32
    hyper: int = 0

    def metadata(self) -> str:
        """As JSON, of which a model's fingerprint takes account: without `hyper`, which is newer, if it is 0."""
        return json.dumps({name: value for name, value in asdict(self).items() if name != "hyper" or value})


#: Widths by profile. `best` takes about 20 kMAC a luma pixel; `tiny`, half as wide as `fast`, is for comparing designs
#: in short runs and has no weights.
PROFILES = {
    "tiny": Config(luma_width=48, luma_head=32, chroma_width=32, chroma_head=16, chroma_context=32),
    "fast": Config(),
    "best": Config(
        luma_width=256,
        luma_head=176,
        luma_skip=28,
        chroma_width=144,
        chroma_head=80,
        chroma_skip=15,
        chroma_context=112,
    ),
}


class Scale(NamedTuple):
    """Of each frequency, `[B, 1, 1, 64]`: standard deviation / quantiser, its inverse, and its natural logarithm."""

    unit: Tensor
    inverse: Tensor
    level: Tensor


class Features(nn.Module):
    """Coefficients of a coded plane -> channels of context, `[B, H, W, 64]` -> `[B, H, W, channels]`."""

    #: Frequencies whose fine value differs enough from the coarse one to matter in a linear prediction.
    FINE = 6

    def __init__(self, bands: int, pools: Tensor) -> None:
        super().__init__()
        self.bands = bands
        self.register_buffer("pools", pools)
        self.normalise = Normalise()
        self.channels = 2 * bands + pools.shape[1] + 1
        self.exact = False

    def forward(self, x: Tensor, inverse: Tensor) -> Tensor:
        inverse = inverse[..., : self.bands]
        if self.normalise.in_one_pass(x, inverse):
            units, grids = inverse.reshape(-1).numpy(), self.normalise.grids()
            return torch.from_numpy(
                _native.features(x.contiguous().numpy(), units, self.pools.T.contiguous().numpy(), *grids, self.FINE)
            )
        fine, coarse, magnitude = self.normalise(x[..., : self.bands], inverse)
        with torch.autocast(x.device.type, enabled=False):
            pooled = self.normalise.compand(x.abs() @ self.pools)
        parts = [coarse, magnitude, pooled, torch.ones_like(pooled[..., :1])]
        if self.exact:
            parts.append(fine[..., : self.FINE] - coarse[..., : self.FINE])
        return torch.cat(parts, -1)

    def ranges(self) -> tuple[Tensor, Tensor]:
        """(steps, limits) of the channels of an exact network."""
        n = self.normalise
        rest = self.channels - 1 - self.bands
        steps = [float(n.coarse.step)] * self.bands + [n.compand.step] * rest + [1.0]
        limits = [n.LIMIT] * self.bands + [n.compand.limit] * rest + [1.0]
        steps += [float(n.fine.step)] * self.FINE
        limits += [float(n.coarse.step) / 2] * self.FINE
        return torch.tensor(steps), torch.tensor(limits)

    def widen(self, weight: Tensor, skip: int) -> Tensor:
        """Weights `[O, k * channels, 3, 3]` for the channels of an exact network: its fine remainders take part in the
        linear predictions, the last `skip` outputs, with the weights of what they are the remainder of."""
        outputs = len(weight)
        weight = weight.unflatten(1, (-1, self.channels))
        fine = weight[:, :, : self.FINE].clone()
        fine[: outputs - skip] = 0
        return torch.cat([weight, fine], 2).flatten(1, 2)

    def narrow(self, weight: Tensor) -> Tensor:
        """The inverse of `widen`."""
        planes: Tensor = weight.unflatten(1, (-1, self.channels + self.FINE))
        return planes[:, :, : self.channels].flatten(1, 2)


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


class Trunk(nn.Module):
    """Context of one phase: planes coded before -> hidden state `[B, H, W, width]` and a linear guess at the means."""

    def __init__(self, inputs: int, width: int, skip: int, table_width: int, side: int) -> None:
        super().__init__()
        self.width, self.skip = width, skip
        self.context = nn.Conv2d(inputs, width + skip, 3, padding=1, bias=False) if inputs else None
        self.side = Linear(side, width, bias=False) if side else None
        self.film = Linear(table_width, 2 * width)
        self.input = Snap(9)
        self.inner = Linear(width, width)
        self.middle = Snap(9)
        self.outer = Linear(width, width)
        with torch.no_grad():
            self.film.weight.mul_(0.3)
            if self.context is not None:
                self.context.weight[width:].mul_(0.05)

    def forward(
        self,
        planes: Tensor | None,
        side: Tensor | None,
        embedding: Tensor,
        grid: tuple[int, int],
        prior: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        gain, shift = self.film(embedding)[:, None, None].split(self.width, -1)
        if self.context is not None:
            t, skip = conv3x3(planes, self.context.weight).split([self.width, self.skip], -1)
        else:
            t, skip = (embedding.new_zeros(len(embedding), *grid, n) for n in (self.width, self.skip))
        if self.side is not None and side is not None:
            t = t + self.side(side)
        if prior is not None:
            t = t + prior
        t = self.input.rectified(t * (1 + gain) + shift)
        return t + self.outer(self.middle.rectified(self.inner(t))), skip

    def fix(self, features: Features, side: Snap | None, embedding: Snap) -> None:
        if self.context is not None:
            self.context.weight = frozen(features.widen(self.context.weight, self.skip))
            fix_weight(self.context.weight, None, *repeated(features.ranges(), self.context.weight.shape[1]))
        if self.side is not None:
            fix_linear(self.side, side)
        fix_linear(self.film, embedding)
        fix_linear(self.inner, self.input)
        fix_linear(self.outer, self.middle)


class Head(nn.Module):
    """The frequency groups of a phase, high to low: what each may see is what the groups before it have coded."""

    def __init__(self, groups: tuple[tuple[int, int], ...], width: int, hidden: int, skip: int) -> None:
        super().__init__()
        self.groups, self.hidden, self.skip = groups, hidden, skip
        self.normalise = Normalise()
        self.input = Snap(10)
        self.state = Linear(width, len(groups) * hidden)
        self.known = nn.ModuleList(Linear(2 * (64 - b), hidden, bias=False) for _, b in groups[1:])
        self.mean = nn.ModuleList(Linear(64 - b, b - a, bias=False) for a, b in groups[1:])
        self.middle = nn.ModuleList(Snap(10) for _ in groups)
        self.out = nn.ModuleList(Linear(hidden, 5 * (b - a)) for a, b in groups)
        with torch.no_grad():
            for layer in self.mean:
                layer.weight.zero_()
            for layer in self.out:
                layer.weight.mul_(0.3)
                layer.bias.view(-1, 5).copy_(torch.tensor([0.0, 0.0, -1.6, -0.4, 0.0]))

    def code(self, coder: Coder, t: Tensor, skip: Tensor, scale: Scale, x: Tensor | None) -> Tensor:
        """t `[B, H, W, width]`, skip `[B, H, W, skip]` -> coefficients `[B, H, W, 64]`, known as x or decoded."""
        states = self.state(self.input(t)).split(self.hidden, -1)
        fine: list[Tensor] = []
        coarse: list[Tensor] = []
        magnitude: list[Tensor] = []
        coded: list[Tensor] = []
        for g, (a, b) in enumerate(self.groups):
            hidden, mean = states[g], None
            if g:
                mean = self.mean[g - 1](torch.cat(fine, -1))
                hidden = hidden + self.known[g - 1](torch.cat(coarse + magnitude, -1))
            if b <= self.skip:
                mean = skip[..., a:b] if mean is None else mean + skip[..., a:b]
            raw = self.out[g](self.middle[g].rectified(hidden)).unflatten(-1, (b - a, 5))
            mixture = Mixture(raw, mean, scale.unit[..., a:b], scale.level[..., a:b])
            y = coder.code(mixture, None if x is None else x[..., a:b])
            coded.insert(0, y)
            for known, value in zip((fine, coarse, magnitude), self.normalise(y, scale.inverse[..., a:b])):
                known.append(value)
        return torch.cat(coded, -1)

    def fix(self) -> None:
        n = self.normalise
        fix_linear(self.state, self.input)
        for layer in self.mean:
            fix_weight(layer.weight, None, *constant(layer.in_features, float(n.fine.step), n.LIMIT))
        for layer in self.known:
            half = layer.in_features // 2
            low, high = (constant(half, float(n.coarse.step), n.LIMIT), constant(half, n.compand.step, n.compand.limit))
            fix_weight(layer.weight, None, torch.cat([low[0], high[0]]), torch.cat([low[1], high[1]]))
        for layer, snap in zip(self.out, self.middle):
            fix_linear(layer, snap)


def repeated(ranges: tuple[Tensor, Tensor], inputs: int) -> tuple[Tensor, Tensor]:
    """Ranges of one plane -> those of as many as make up `inputs`."""
    return ranges[0].repeat(inputs // len(ranges[0])), ranges[1].repeat(inputs // len(ranges[1]))


def frozen(weight: Tensor) -> nn.Parameter:
    return nn.Parameter(weight.detach(), requires_grad=False)


class Mlcc(nn.Module):
    """The model. `walk` is its only traversal: encoder, decoder and rate meter differ only in the coder they pass.

    sigma: `[2, 64]` standard deviations of dequantised luma and chroma coefficients over the training set.
    """

    sigma: Tensor

    def __init__(self, sigma: Tensor, config: Config = Config()) -> None:
        super().__init__()
        self.config = c = config
        self._fingerprint: int | None = None
        self.register_buffer("sigma", sigma.float())
        self.log_tables, self.hidden_tables, self.embedding = Snap(10, 16.0), Snap(10), Snap(10)
        self.side = Snap(9)
        self.luma_features = Features(28, luma_pools())
        self.chroma_features = Features(15, chroma_pools())
        luma, chroma = self.luma_features.channels, self.chroma_features.channels
        self.tables = nn.Sequential(Linear(128 + len(SAMPLINGS), 64), nn.LeakyReLU(SLOPE), Linear(64, c.table_width))
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
        # Last, so that a seed gives the same weights as without.
        self.hyper = Hyperprior(c.hyper, (luma, chroma), (c.luma_width, c.chroma_width)) if c.hyper else None

    @classmethod
    @known_state()
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> Mlcc:
        """Return an exact model as `save` wrote it. Raises InexactDeviceError as `nn.exact.check_exact` does."""
        config, tensors = read_weights(path)
        with torch.device("meta"):
            model = cls(tensors["sigma"], Config(**json.loads(config)))
        for name, tensor in tensors.items():
            owner, _, leaf = name.rpartition(".")
            module = model.get_submodule(owner)
            setattr(module, leaf, frozen(tensor) if leaf in module._parameters else tensor)
        model._become_exact()
        check_exact(model, torch.device(device))
        return model.to(device)

    @classmethod
    def trainable(cls, path: str | Path) -> Mlcc:
        """The network that an exact model was made from, up to the rounding of its weights: to train on."""
        exact = cls.load(path)
        model = cls(exact.sigma, exact.config)
        state = exact.state_dict()
        for name, tensor in model.state_dict().items():
            features = model.luma_features if name.startswith("luma") else model.chroma_features
            if name.endswith("context.weight") and state[name].shape != tensor.shape:
                state[name] = features.narrow(state[name])
            elif name.endswith((".limit", ".step")):
                state[name] = tensor
        model.load_state_dict(state)
        return model

    def save(self, path: str | Path) -> None:
        """Write the model as safetensors, its configuration in the metadata."""
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        save_file(tensors, path, {"config": self.config.metadata()})

    def fingerprint(self) -> int:
        """32 bits that change with the configuration and any weight or table of a model that is exact."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self.config.metadata(), self.state_dict())
        return self._fingerprint

    @torch.no_grad()
    def fix(self, pictures: Iterable[tuple[Shape, Tensor, Picture]]) -> Mlcc:
        """Make the network exact, in place: ranges as seen over `pictures`, weights on the grids they allow.

        pictures: (shape, tables, coefficients) as `walk` takes them, of every sampling.

        Raises:
            ValueError: a layer's partial sums could leave the exact range.
        """
        snaps = [m for m in self.modules() if isinstance(m, Snap)]
        for snap in snaps:
            snap.watching = not float(snap.limit)
        for shape, tables, picture in pictures:
            self.walk(RateMeter(), shape, tables, picture)
        for snap in snaps:
            snap.watching = False
            snap.fix()
        first, _, second = self.tables
        fix_linear(first, self.log_tables)
        fix_linear(second, self.hidden_tables)
        for trunk in self.chroma_trunks:
            trunk.fix(self.chroma_features, None, self.embedding)
        for trunk in self.luma_trunks:
            trunk.fix(self.luma_features, self.side, self.embedding)
        for layer in self.chroma_context.values():
            steps, limits = (r[: self.chroma_features.channels] for r in self.chroma_features.ranges())
            fix_weight(layer.weight, layer.bias, *repeated((steps, limits), layer.weight.shape[1]))
        for head in (*self.chroma_heads, *self.luma_heads):
            head.fix()
        if self.hyper is not None:
            self.hyper.fix()
        self._become_exact()
        return self

    def _become_exact(self) -> None:
        for module in self.modules():
            if isinstance(module, Features):
                module.exact = True
            elif isinstance(module, Snap):
                module.load()
        self.requires_grad_(False)

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
        log_q = log2_table(tables) * math.log(2)
        embedding = self._embed(log_q, shape.sampling)
        priors = None if self.hyper is None else self.walk_hyper(coder, shape, tables, picture)
        chroma: list[Tensor] = []
        context = None
        if SAMPLINGS[shape.sampling]:
            scales = [self._scale(1, tables[:, -1]), self._scale(1, tables[:, 1])]
            chroma = self._walk_chroma(coder, shape, scales, embedding, priors, picture.chroma if picture else None)
            planes = space_to_depth(self._both_chroma(chroma, scales), *SAMPLINGS[shape.sampling])
            layer = self.chroma_context[shape.sampling]
            context = self.side.rectified(conv3x3(planes, layer.weight) + layer.bias)
        scale = self._scale(0, tables[:, 0])
        luma = self._walk_luma(coder, shape, scale, embedding, context, priors, picture.luma if picture else None)
        return Picture(luma, tuple(chroma))

    def walk_hyper(self, coder: Coder, shape: Shape, tables: Tensor, picture: Picture | None = None) -> Priors:
        """The first part of `walk` of a model that has side information: code it."""
        features = None
        if picture is not None:
            luma = self.luma_features(picture.luma, self._scale(0, tables[:, 0]).inverse)
            scales = [self._scale(1, tables[:, -1]), self._scale(1, tables[:, 1])]
            chroma = self._both_chroma(picture.chroma, scales) if picture.chroma else None
            features = luma[..., : self.luma_features.channels], chroma
        result: Priors = self.hyper.walk(coder, shape, len(tables), features)
        return result

    def _both_chroma(self, chroma: Iterable[Tensor], scales: list[Scale]) -> Tensor:
        n = self.chroma_features.channels
        return torch.cat([self.chroma_features(x, scale.inverse)[..., :n] for x, scale in zip(chroma, scales)], -1)

    def run(self, coder: Coder, shape: Shape, tables: Tensor, picture: Picture | None = None) -> Picture:
        """`walk` as an encoder and a decoder must: on the model's device, nothing that would make it inexact."""
        with known_state(), torch.inference_mode():
            if picture is not None:
                picture = picture.to(self.device).float()
            return self.walk(coder, shape, tables.to(self.device), picture)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.sigma.device

    def _scale(self, kind: int, table: Tensor) -> Scale:
        sigma, table = self.sigma[kind], table[:, None, None].float()
        # log2 of sigma to 1/256 by the same integer arithmetic as of a quantiser: 64 sigma is below 2^16.
        level = log2_table((64 * sigma).round()) - 6 - log2_table(table)
        return Scale(sigma / table, table / sigma, level * math.log(2))

    def _embed(self, log_q: Tensor, sampling: str) -> Tensor:
        one_hot = log_q.new_tensor([[float(sampling == name) for name in SAMPLINGS]]).expand(len(log_q), -1)
        first, activation, second = self.tables
        x = self.log_tables(torch.cat([log_q[:, :2].flatten(1) - 3, one_hot], -1))
        result: Tensor = self.embedding(second(self.hidden_tables(activation(first(x)))))
        return result

    def _walk_chroma(
        self,
        coder: Coder,
        shape: Shape,
        scales: list[Scale],
        embedding: Tensor,
        priors: Priors | None,
        known: tuple[Tensor, ...] | None,
    ) -> list[Tensor]:
        (v, h), (rows, columns) = SAMPLINGS[shape.sampling], padded(shape.luma)
        height, width = rows // 4 * v, columns // 4 * h
        planes: list[Tensor] = []
        result = []
        for c in range(2):
            phases = []
            for p, (i, j) in enumerate(PHASES):
                context = torch.cat(planes, -1) if planes else None
                prior = None if priors is None else self.hyper.chroma_trunks[4 * c + p](priors.chroma[c])
                state = self.chroma_trunks[4 * c + p](context, None, embedding, (height, width), prior)
                x = None if known is None else known[c][:, i::2, j::2]
                coded = code_phase(coder, self.chroma_heads[c], state, scales[c], x, phase_size(shape.chroma, i, j))
                phases.append(coded)
                planes.append(self.chroma_features(coded, scales[c].inverse))
            result.append(interleave(phases))
        return result

    def _walk_luma(
        self,
        coder: Coder,
        shape: Shape,
        scale: Scale,
        embedding: Tensor,
        context: Tensor | None,
        priors: Priors | None,
        known: Tensor | None,
    ) -> Tensor:
        height, width = (n // 2 for n in padded(shape.luma))
        phases: list[Tensor] = []
        planes: list[Tensor] = []
        for p, (i, j) in enumerate(PHASES):
            x = None if known is None else known[:, i::2, j::2]
            size = phase_size(shape.luma, i, j)
            if p == 0:
                grid = (height // 2, width // 2)
                coded = self._walk_first_phase(coder, size, scale, embedding, context, priors, x, grid)
            else:
                prior = None if priors is None else self.hyper.luma_trunks[3 + p](priors.luma)
                state = self.luma_trunks[3 + p](torch.cat(planes, -1), context, embedding, (height, width), prior)
                coded = code_phase(coder, self.luma_heads[p], state, scale, x, size)
            phases.append(coded)
            planes.append(self.luma_features(coded, scale.inverse))
        return interleave(phases)

    def _walk_first_phase(
        self,
        coder: Coder,
        size: tuple[int, int],
        scale: Scale,
        embedding: Tensor,
        context: Tensor | None,
        priors: Priors | None,
        known: Tensor | None,
        grid: tuple[int, int],
    ) -> Tensor:
        phases: list[Tensor] = []
        planes: list[Tensor] = []
        for p, (i, j) in enumerate(PHASES):
            side = None if context is None else context[:, i::2, j::2]
            before = torch.cat(planes, -1) if planes else None
            prior = None if priors is None else self.hyper.luma_trunks[p](priors.luma[:, i::2, j::2])
            state = self.luma_trunks[p](before, side, embedding, grid, prior)
            x = None if known is None else known[:, i::2, j::2]
            coded = code_phase(coder, self.luma_heads[0], state, scale, x, phase_size(size, i, j))
            phases.append(coded)
            planes.append(self.luma_features(coded, scale.inverse))
        return interleave(phases)


def code_phase(
    coder: Coder, head: Head, state: tuple[Tensor, Tensor], scale: Scale, x: Tensor | None, size: tuple[int, int]
) -> Tensor:
    """Code the part of a phase that lies inside the picture; the padding around it is zero."""
    t, skip = state
    height, width = t.shape[1:3]
    rows, columns = size
    inside = (slice(None), slice(rows), slice(columns))
    coded = head.code(coder, t[inside], skip[inside], scale, None if x is None else x[inside])
    if (rows, columns) != (height, width):
        coded = F.pad(coded, (0, 0, 0, width - columns, 0, height - rows))
    return coded
