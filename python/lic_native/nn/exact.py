"""Networks that give the same integers on every machine, in ordinary float arithmetic.

Every activation and weight of an exact network is a multiple of a power of two. A matrix product of such numbers is
itself exact in float32, in whatever order a kernel adds, as long as the largest partial sum it could meet stays below
2^24 units; `quantize_weight` rounds a layer's weights to the finest grid for which that can be proved from the weights
alone. All that stands between two products is single IEEE operations (one multiplication, one addition, a comparison),
which are correctly rounded and so the same everywhere; transcendental functions become comparisons with stored
thresholds.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InexactDeviceError
from .ambient import known_state
from .quantizer import Quantizer

__all__ = [
    "EXACT",
    "GRID",
    "ROWS",
    "WEIGHT_BITS",
    "Linear",
    "check_exact",
    "coarse_grid",
    "conv3x3",
    "conv3x3_as_product",
    "log2_table",
    "quantize_linear",
    "quantize_weight",
    "round_weight",
    "uniform_range",
]

_log = logging.getLogger(__name__)

#: Integers up to here, and their sums, are exact in float32.
EXACT = 2.0**24
#: The root mean square of an output's weights is 2^6 to 2^7 steps of their grid, or less where sums need a coarser one.
#: A finer grid saves nothing that can be measured: docs/training.md, "Bits of a weight".
WEIGHT_BITS = 6


def log2_table(q: Tensor) -> Tensor:
    """Return floor(256 log2 q) / 256 of integers 1 <= q < 2^16, by integer arithmetic alone."""
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


def check_exact(model: nn.Module, device: torch.device) -> None:
    """Try every shape of product and of convolution that the layers of an exact network have, on `device`.

    An environment variable or a replaced library can make products inexact, for some shapes only, and no switch of
    torch shows it. Where the faster of two ways is inexact, the other one is used.

    Raises:
        InexactDeviceError: a product is not what integer arithmetic gives.
    """
    on_cpu, tried = device.type == "cpu", set()
    for name, layer in model.named_modules():
        if isinstance(layer, Linear):
            outputs, inputs = layer.weight.shape
            fast = on_cpu and _has_onednn() and _onednn_is_exact(inputs, outputs)
        elif isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            # In an exact network the weights have more inputs than the layer was built with.
            outputs, inputs = layer.weight.shape[0], 9 * layer.weight.shape[1]
            fast = on_cpu and _convolution_is_exact(inputs // 9, outputs)
        else:
            continue
        tried.add((type(layer), inputs, outputs))
        if on_cpu and not fast:
            _log.debug(
                "layer %s, %d -> %d: the faster way is not exact here, a product is taken", name, inputs, outputs
            )
        if not fast and not _product_is_exact(inputs, outputs, device):
            raise InexactDeviceError(
                f"float32 matrix products on {device} are not exact here, of layer {name} from {inputs} to {outputs} "
                "channels: files would not decode elsewhere; another device or version of torch may do"
            )
    _log.debug("%d shapes of products and convolutions on %s are exact", len(tried), device)


#: Numbers of vectors that a product is tried with: libraries choose an algorithm by them.
ROWS = (1, 64)
#: Height and width of the grid that a convolution is tried on.
GRID = (13, 21)


def _numbers(inputs: int, outputs: int, rows: int) -> tuple[Tensor, Tensor]:
    """Return integers as floats, `[rows, inputs]` and `[outputs, inputs]`, whose sums of products fill 24 bits."""
    most = int(EXACT - 1) // (3 * inputs)
    x = torch.arange(rows * inputs) * 7919 % 7 - 3
    weight = torch.arange(outputs * inputs) * 104729 % (2 * most + 1) - most
    return x.view(rows, inputs).float(), weight.view(outputs, inputs).float()


def _is_exact(product: Callable[[Tensor, Tensor], Tensor], inputs: int, outputs: int, device: torch.device) -> bool:
    """Return whether the product of `[rows, inputs]` and `[outputs, inputs]` is the one of integers."""
    for rows in ROWS:
        x, weight = _numbers(inputs, outputs, rows)
        if not torch.equal(product(x.to(device), weight.to(device)).cpu().double(), x.double() @ weight.double().T):
            return False
    return True


@cache
def _product_is_exact(inputs: int, outputs: int, device: torch.device) -> bool:
    with known_state():
        return _is_exact(F.linear, inputs, outputs, device)


@cache
def _onednn_is_exact(inputs: int, outputs: int) -> bool:
    with known_state():
        return _is_exact(lambda x, weight: _onednn_linear(x, weight, None), inputs, outputs, torch.device("cpu"))


@cache
def _convolution_is_exact(inputs: int, outputs: int) -> bool:
    """Return whether torch's convolution on the CPU equals the sum over the nine neighbours."""
    with known_state():
        x, weight = _numbers(9 * inputs, outputs, -(-math.prod(GRID) // 9))
        x, weight = x.flatten()[: inputs * math.prod(GRID)].view(1, *GRID, inputs), weight.view(outputs, inputs, 3, 3)
        return torch.equal(_direct_convolution(x, weight).double(), conv3x3_as_product(x.double(), weight.double()))


@cache
def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


class Linear(nn.Linear):
    """A matrix product by oneDNN, where torch would use MKL on a CPU, which takes twice as long on AMD's."""

    def forward(self, x: Tensor) -> Tensor:
        if (
            x.device.type == "cpu"
            and not torch.is_grad_enabled()
            and _has_onednn()
            and _onednn_is_exact(*reversed(self.weight.shape))
        ):
            return _onednn_linear(x, self.weight, self.bias)
        return super().forward(x)


def _onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return y


def coarse_grid(weight: Tensor, bits: int) -> Tensor:
    """Return a power of two for each row of `[rows, ...]`, in float64, at most 2^-bits of its root mean square.

    Rounding to half of it at most is an error of 2^-bits / sqrt(12) of the row, if its weights are independent.
    """
    rows = weight.double().flatten(1)
    deviation = rows.square().mean(1).sqrt().clamp_min(2.0**-40)
    return torch.exp2(torch.floor(torch.log2(deviation)) - bits).view(-1, *[1] * (weight.dim() - 1))


def round_weight(weight: Tensor, bits: int) -> None:
    """Round weights `[rows, ...]` of a layer of floats in place, to the `coarse_grid` of each row."""
    grid = coarse_grid(weight, bits)
    # Adding zero makes no zero negative: those would take more bytes in a file.
    weight.copy_((weight.double() / grid).round() * grid + 0.0)


def quantize_weight(weight: Tensor, bias: Tensor | None, steps: Tensor, limits: Tensor) -> None:
    """Round weights `[outputs, inputs, ...]` in place so that every partial sum is exact in float32.

    steps, limits: `[inputs]` grid and largest magnitude of each input. Each output has one unit, the value of its
    accumulator's last bit: the finest power of two for which the sum of all magnitudes stays below 2^24 units. An
    input on a grid of `steps` has weights on a grid of unit / steps, or on a coarser one that is as good
    (`WEIGHT_BITS`).
    """
    shape = (1, -1, *[1] * (weight.dim() - 2))
    steps, limits = steps.double().view(shape), limits.double().view(shape)
    flat = tuple(range(1, weight.dim()))
    w = weight.double()
    coarse = coarse_grid(w * steps, WEIGHT_BITS)
    # Rounding may add half a grid step to every weight: count that in before choosing the unit.
    largest = (w.abs() * limits).sum(flat) + (0 if bias is None else bias.double().abs())
    spread = (limits / steps).expand_as(w[:1]).sum() / 2 + 1
    if float(spread) >= EXACT / 2:
        raise ValueError(f"{weight[0].numel()} inputs of that precision cannot be made exact: their sum takes 24 bits")
    largest = largest.clamp_min(2.0**-20)
    least = torch.maximum(largest / (EXACT - spread), (largest + spread * coarse.flatten()) / EXACT)
    unit = torch.exp2(torch.ceil(torch.log2(least)))
    grid = torch.maximum(unit.view_as(coarse), coarse) / steps
    # Adding zero makes no zero negative: those would take more bytes in a file.
    rounded = (w / grid).round() * grid + 0.0
    total = (rounded.abs() * limits).sum(flat)
    if bias is not None:
        quantized = (bias.double() / unit).round() * unit + 0.0
        total = total + quantized.abs()
        bias.copy_(quantized)
    if bool((total / unit >= EXACT).any()):
        raise ValueError("a partial sum of this layer could exceed 2^24 units: it cannot be made exact")
    weight.copy_(rounded)


def quantize_linear(layer: Linear, quantizer: Quantizer) -> None:
    """Quantize the weights of a layer whose inputs are what `quantizer` gives."""
    ranges = uniform_range(layer.in_features, float(quantizer.step), float(quantizer.limit))
    quantize_weight(layer.weight, layer.bias, *ranges)


def uniform_range(count: int, step: float, limit: float) -> tuple[Tensor, Tensor]:
    """Return steps and limits `[count]` of inputs that all have one range."""
    return torch.full((count,), step, dtype=torch.float32), torch.full((count,), limit, dtype=torch.float32)


def conv3x3(x: Tensor, weight: Tensor) -> Tensor:
    """3x3 convolution of `[B, H, W, C]` with zero padding.

    Libraries may transform its input (Winograd) or round it, which is not exact. On the CPU torch convolves directly,
    three times as fast as the product over the nine neighbours that is used elsewhere.
    """
    outputs, inputs = weight.shape[:2]
    if torch.is_grad_enabled() or (x.device.type == "cpu" and _convolution_is_exact(inputs, outputs)):
        return _direct_convolution(x, weight)
    return conv3x3_as_product(x, weight)


def _direct_convolution(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x.permute(0, 3, 1, 2), weight, padding=1).permute(0, 2, 3, 1)


def conv3x3_as_product(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve as `conv3x3` does, by one matrix product over the nine neighbours."""
    height, width = x.shape[1:3]
    padded = F.pad(x, (0, 0, 1, 1, 1, 1))
    neighbours = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return torch.cat(neighbours, -1) @ weight.permute(2, 3, 1, 0).flatten(0, 2)
