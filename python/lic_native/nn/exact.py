"""Networks that give the same integers on every machine, in ordinary float arithmetic.

Every activation and weight of an exact network is a multiple of a power of two. A matrix product of such numbers is
itself exact in float32, in whatever order a kernel adds, as long as the largest partial sum it could meet stays below
2^24 units; `fix` rounds a layer's weights to the finest grid for which that can be proved from the weights alone. All
that stands between two products is single IEEE operations (one multiplication, one addition, a comparison), which are
correctly rounded and so the same everywhere; transcendental functions become comparisons with stored thresholds.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import _native

#: Integers up to here, and their sums, are exact in float32.
EXACT = 2.0**24


#: Of the leaky rectifier below zero: a power of two.
SLOPE = 0.125


def in_one_pass(x: Tensor) -> bool:
    """Whether the native functions, which do in one pass what torch does in many, can take x."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_grad_enabled()


class Snap(nn.Module):
    """Rounds to multiples of 2^-bits within +-limit once the network is exact; before that, only watches the range.

    limit: largest magnitude, a power of two; None takes the smallest that covers what was seen, at 2^-`bits` of it.
    """

    def __init__(self, bits: int, limit: float | None = None) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("limit", torch.tensor(limit or 0.0))
        self.register_buffer("step", torch.tensor(limit / 2**bits if limit else 0.0))
        self.watching = False
        self.exact = False
        #: 1 / step, limit / step, step
        self.scale = (0.0, 0.0, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        if self.exact:
            inverse, bound, step = self.scale
            if x.requires_grad:
                value = (x.detach() * inverse).round_().clamp_(-bound, bound).mul_(step)
                return straight_through(x.clamp(-bound * step, bound * step), value)
            return (x * inverse).round_().clamp_(-bound, bound).mul_(step)
        if self.watching:
            self.limit.copy_(torch.maximum(self.limit, x.detach().abs().amax()))
        return x

    def rectified(self, x: Tensor) -> Tensor:
        """This, of the leaky rectifier of x, which may be overwritten."""
        if self.exact and in_one_pass(x):
            x = x.contiguous()
            _native.activate(x.numpy(), SLOPE, self.scale)
            return x
        return self.forward(F.leaky_relu(x, SLOPE))

    def fix(self) -> None:
        limit = 2.0 ** math.ceil(math.log2(max(float(self.limit), 2.0**-20)))
        self.limit.fill_(limit)
        self.step.fill_(limit / 2**self.bits)

    def load(self) -> None:
        """Take up the stored limit and step."""
        step = float(self.step)
        self.scale = (1 / step, float(self.limit) / step, step)
        self.exact = True


def straight_through(x: Tensor, value: Tensor) -> Tensor:
    """The value, with the gradient of x, which it is near."""
    return x + (value - x).detach()


class Compand(nn.Module):
    """log2(1 + x) of x >= 0, linear between powers of two, on a grid of 1/32: the leading bits of a float32."""

    step = 1 / 32
    limit = 12.0

    def forward(self, x: Tensor) -> Tensor:
        bits = (x.detach().float() + 1).view(torch.int32)
        # Exponent and the mantissa's first five bits, rounded; 127 is the exponent's bias.
        level = ((bits + (1 << 17)) >> 18) - (127 << 5)
        value = level.clamp_(max=int(self.limit / self.step)).to(torch.float32).mul_(self.step)
        return straight_through(torch.log2(1 + x.float()), value) if x.requires_grad else value


class Normalise(nn.Module):
    """Integers in units of their standard deviation: finely, coarsely, and their companded magnitudes.

    Linear predictions of a mean need the fine value; as inputs of a network the coarse one is as good, and leaves its
    weights more bits.
    """

    LIMIT = 6.0

    def __init__(self) -> None:
        super().__init__()
        self.fine = Snap(15, 8.0)
        self.coarse = Snap(8, 8.0)
        self.compand = Compand()

    def forward(self, x: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x `[..., n]` integers, inverse `[..., n]` or broadcast -> three tensors `[..., n]`."""
        if self.in_one_pass(x, inverse):
            arrays = _native.normalise(x.contiguous().numpy(), inverse.reshape(-1).numpy(), *self.grids())
            fine, coarse, magnitude = map(torch.from_numpy, arrays)
            return fine, coarse, magnitude
        x = x * inverse
        fine = self.fine(x.clamp(-self.LIMIT, self.LIMIT))
        return fine, self.coarse(fine), self.compand(2 * x.abs())

    def in_one_pass(self, x: Tensor, inverse: Tensor) -> bool:
        """Whether the native functions can take x: those of one picture on the CPU."""
        return self.fine.exact and in_one_pass(x) and inverse.numel() == inverse.shape[-1]

    def ranges(self) -> list[tuple[float, float]]:
        """(step, limit) of the three results of an exact network."""
        steps = float(self.fine.step), float(self.coarse.step)
        return [*((step, self.LIMIT) for step in steps), (self.compand.step, self.compand.limit)]

    def grids(self) -> tuple[float, tuple[float, float, float], tuple[float, float, float]]:
        return self.LIMIT, self.fine.scale, self.coarse.scale


def log2_table(q: Tensor) -> Tensor:
    """floor(256 log2 q) / 256 of integers 1 <= q < 2^16, by integer arithmetic alone."""
    x = q.to(torch.int64)
    if bool(((x < 1) | (x > 0xFFFF)).any()):
        raise ValueError("a quantiser is outside 1 .. 65535")
    whole = sum((x >= 1 << k).to(torch.int64) for k in range(1, 16))
    mantissa = x << (30 - whole)
    result = whole
    for _ in range(8):
        mantissa = (mantissa * mantissa) >> 30
        carry = (mantissa >= 1 << 31).to(torch.int64)
        mantissa = mantissa >> carry
        result = 2 * result + carry
    return result.float() / 256


class Shared:
    """A change of torch's global state that lasts while any thread is inside; `switch` makes it, yielding its undos."""

    def __init__(self, switch: Callable[[], Iterable[Callable[[], None]]]) -> None:
        self._switch = switch
        self._lock = threading.Lock()
        self._inside = 0
        self._undo: list[Callable[[], None]] = []

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._undo = list(self._switch())
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                for undo in self._undo:
                    undo()


def _full_precision() -> Iterator[Callable[[], None]]:
    """Turn off what trades precision for speed: TF32, bfloat16."""
    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # before torch 2.9
        yield partial(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        torch.set_float32_matmul_precision("highest")
        return
    for backend in (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv):  # type: ignore[attr-defined]
        yield partial(setattr, backend, "fp32_precision", backend.fp32_precision)
        backend.fp32_precision = "ieee"


def _one_thread() -> Iterator[Callable[[], None]]:
    yield partial(torch.set_num_threads, torch.get_num_threads())
    torch.set_num_threads(1)


_precision = Shared(_full_precision)
#: One thread an operation, while any thread of the program is inside.
single_threaded = Shared(_one_thread)


@contextmanager
def exact_arithmetic(device: torch.device) -> Iterator[None]:
    """Keeps torch from making an exact network inexact, whatever the program around has set in torch."""
    with _precision, torch.autocast(device.type, enabled=False):
        yield


def check_products(device: torch.device) -> None:
    """Raise RuntimeError if a float32 matrix product on `device` is not what IEEE arithmetic gives.

    An environment variable or a replaced library can make it so where no switch of torch shows it.
    """
    if not _is_exact(torch.matmul, device):
        raise RuntimeError(f"float32 matrix products on {device} are not exact here: files would not decode elsewhere")


def _is_exact(product: Callable[[Tensor, Tensor], Tensor], device: torch.device) -> bool:
    """Whether a product of matrices is what integers give, for one whose sums may take almost 24 bits."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-3, 4, (64, 576), generator=generator).float()
    weight = torch.randint(-9000, 9001, (576, 96), generator=generator).float()
    with exact_arithmetic(device):
        result = product(x.to(device), weight.to(device))
    return torch.equal(result.cpu().double(), x.double() @ weight.double())


@cache
def _direct_convolution_is_exact() -> bool:
    """Whether torch's convolution on the CPU passes the same test."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-3, 4, (1, 32, 48, 64), generator=generator).float()
    weight = torch.randint(-9000, 9001, (96, 64, 3, 3), generator=generator).float()
    with exact_arithmetic(x.device):
        return torch.equal(_direct_convolution(x, weight), conv3x3_as_product(x, weight))


class Linear(nn.Linear):
    """A matrix product by oneDNN where torch's own choice on a CPU is MKL, which takes twice as long on AMD's."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and not torch.is_grad_enabled() and _onednn_is_exact():
            return _onednn_linear(x, self.weight, self.bias)
        return super().forward(x)


def _onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return y


@cache
def _onednn_is_exact() -> bool:
    """Whether oneDNN is there and passes the same test."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    return _is_exact(lambda x, weight: _onednn_linear(x, weight.T.contiguous(), None), torch.device("cpu"))


def fix_weight(weight: Tensor, bias: Tensor | None, steps: Tensor, limits: Tensor) -> None:
    """Round weights `[outputs, inputs, ...]` in place so that every partial sum is exact in float32.

    steps, limits: `[inputs]` grid and largest magnitude of each input. Each output has one unit, the value of its
    accumulator's last bit: the finest power of two for which the sum of all magnitudes stays below 2^24 units. An
    input on a grid of `steps` has weights on a grid of unit / steps.
    """
    shape = (1, -1, *[1] * (weight.dim() - 2))
    steps, limits = steps.double().view(shape), limits.double().view(shape)
    flat = tuple(range(1, weight.dim()))
    w = weight.double()
    # Rounding may add half a grid step to every weight: count that in before choosing the unit.
    largest = (w.abs() * limits).sum(flat) + (0 if bias is None else bias.double().abs())
    spread = (limits / steps).expand_as(w[:1]).sum() / 2 + 1
    if float(spread) >= EXACT / 2:
        raise ValueError(f"{weight[0].numel()} inputs of that precision cannot be made exact: their sum takes 24 bits")
    unit = torch.exp2(torch.ceil(torch.log2(largest.clamp_min(2.0**-20) / (EXACT - spread))))
    grid = unit.view(-1, *[1] * (weight.dim() - 1)) / steps
    rounded = (w / grid).round() * grid
    total = (rounded.abs() * limits).sum(flat)
    if bias is not None:
        fixed = (bias.double() / unit).round() * unit
        total = total + fixed.abs()
        bias.copy_(fixed)
    if bool((total / unit >= EXACT).any()):
        raise ValueError("a partial sum of this layer could exceed 2^24 units: it cannot be made exact")
    weight.copy_(rounded)


def fix_linear(layer: Linear, snap: Snap) -> None:
    ranges = constant(layer.in_features, float(snap.step), float(snap.limit))
    fix_weight(layer.weight, layer.bias, *ranges)


def constant(count: int, step: float, limit: float) -> tuple[Tensor, Tensor]:
    return torch.full((count,), step), torch.full((count,), limit)


def conv3x3(x: Tensor, weight: Tensor) -> Tensor:
    """3x3 convolution of `[B, H, W, C]` with zero padding.

    Libraries may transform its input (Winograd) or round it, which is not exact. On the CPU torch convolves directly,
    which is three times as fast as the product over the nine neighbours that is taken elsewhere.
    """
    if torch.is_grad_enabled() or (x.device.type == "cpu" and _direct_convolution_is_exact()):
        return _direct_convolution(x, weight)
    return conv3x3_as_product(x, weight)


def _direct_convolution(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x.permute(0, 3, 1, 2), weight, padding=1).permute(0, 2, 3, 1)


def conv3x3_as_product(x: Tensor, weight: Tensor) -> Tensor:
    height, width = x.shape[1:3]
    padded = F.pad(x, (0, 0, 1, 1, 1, 1))
    neighbours = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return torch.cat(neighbours, -1) @ weight.permute(2, 3, 1, 0).flatten(0, 2)
