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
    "WEIGHT_BITS",
    "Linear",
    "check_exact",
    "coarse_grid",
    "conv3x3",
    "conv3x3_as_product",
    "in_parts",
    "log2_table",
    "quantize_linear",
    "quantize_weight",
    "round_weight",
    "uniform_range",
]

_log = logging.getLogger(__name__)

#: A matrix product: of vectors `[..., inputs]`, weights `[outputs, inputs]` and a bias or None.
Product = Callable[[Tensor, Tensor, "Tensor | None"], Tensor]

#: Integers up to here, and their sums, are exact in float32.
EXACT = 2.0**24
#: The root mean square of an output's weights is 2^6 to 2^7 steps of their grid, or less where sums need a coarser one.
#: A finer grid saves nothing that can be measured: docs/training.md, "Bits of a weight".
WEIGHT_BITS = 6


def log2_table(q: Tensor) -> Tensor:
    """Return floor(256 log2 q) / 256 of integers 1 <= q < 2^16, which are not checked, by integer arithmetic alone."""
    x = q.to(torch.int64)
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
    torch shows it. Where the faster of two ways is inexact, the other one is used. What has been found holds for this
    process, and so for one version of each library.

    A module that multiplies by matrices `[inputs, outputs]` that are no layers has their names in `MATRICES`.

    Raises:
        InexactDeviceError: a product is not what integer arithmetic gives.
    """
    on_cpu, tried = device.type == "cpu", set()
    for name, layer in model.named_modules():
        products = [(*getattr(layer, matrix).shape, None) for matrix in getattr(layer, "MATRICES", ())]
        if isinstance(layer, Linear):
            outputs, inputs = layer.weight.shape
            products.append((inputs, outputs, layer.bias is not None))
        elif isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            # In an exact network the weights have more inputs than the layer was built with.
            outputs, inputs = layer.weight.shape[:2]
            products.append((9 * inputs, outputs, None))
        for inputs, outputs, bias in products:
            tried.add((type(layer), inputs, outputs, bias))
            if on_cpu and bias is not None and _has_onednn() and _onednn_is_exact(inputs, outputs, bias):
                continue
            if on_cpu and isinstance(layer, nn.Conv2d) and _convolution_is_exact(inputs // 9, outputs):
                continue
            if on_cpu and isinstance(layer, Linear | nn.Conv2d):
                _log.debug(
                    "layer %s, %d -> %d: the faster way is not exact here, a product is taken", name, inputs, outputs
                )
            if not _product_is_exact(inputs, outputs, bias, device):
                raise InexactDeviceError(
                    f"float32 matrix products on {device} are not exact here, of layer {name} from {inputs} to "
                    f"{outputs} channels: files would not decode elsewhere; another device or version of torch may do"
                )
    _log.debug("%d shapes of products and convolutions on %s are exact", len(tried), device)


#: Numbers of vectors that a product is tried with, because libraries choose an algorithm by them, and may split a sum
#: or the vectors. A GPU gets many, and never more at a time (`in_parts`); on a CPU as many would take seconds.
CPU_ROWS = (1, 61)
CUDA_ROWS = (1, 2, 5, 16, 64, 273, 1024, 4096, 16384, 65536)
#: Numbers in all vectors that a product is tried with, and in all that it gives, at most: 256 MB each.
MOST_NUMBERS = 2**26
#: Heights and widths of the grids that a convolution is tried on.
GRIDS = ((1, 1), (9, 14))
#: Largest magnitude of a bias that is tried.
BIAS = 2**20
#: Bits of the weights of inputs 0, 1, ... where few inputs are other than zero; the inputs have the rest of 24 bits.
BITS = (6, 18, 12, 1, 22, 9, 15)


def in_parts(product: Callable[[Tensor], Tensor], x: Tensor, outputs: int) -> Tensor:
    """Return a product of vectors `[..., inputs]`; on a GPU, of no more of them at a time than have been tried."""
    rows, inputs = x.shape[:-1].numel(), x.shape[-1]
    most = rows if x.device.type == "cpu" else _rows_tried(inputs, outputs)[-1]
    if rows <= most:
        return product(x)
    parts = x.reshape(rows, inputs).split(most)
    return torch.cat([product(part) for part in parts]).view(*x.shape[:-1], outputs)


def _rows_tried(inputs: int, outputs: int) -> list[int]:
    """Return the numbers of vectors that a product is tried with on a GPU."""
    return [rows for rows in CUDA_ROWS if rows == 1 or rows * max(inputs, outputs) <= MOST_NUMBERS]


def _numbers(inputs: int, outputs: int, taps: int = 1) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return pairs of matrices of integers, vectors `[n, inputs]` and weights `[outputs, taps * inputs]`, and biases.

    A product that has less than 24 bits at any point shows in one of them:

    - In the first, every product counts. In vector 0 all products have one sign, so that sums come near to 2^24; in
      vector 1 the first half is positive, the other negative.
    - In the second, vector i has up to four inputs other than zero, number i, i + 7 and so on. They and their weights
      have 24 bits together, shared between them in seven ways.

    taps: weights that an input has in a row, of the neighbours of a convolution: one of them counts in the second.
    """
    budget = int(EXACT) - 1 - BIAS
    k = torch.arange(inputs)
    sign = 1 - 2 * (k * k % 7 % 2)
    tap_sign = sign.float().repeat_interleave(taps)
    pseudo = torch.arange(7 * outputs + taps * inputs) * 104729 % 65521
    bias = (pseudo[:outputs] * 12347 % (2 * BIAS) - BIAS).float()
    # From 0 to 1/2. Those of one output are those of the output before, seven inputs further.
    share = (pseudo.float() / (2 * 65521)).as_strided((outputs, taps * inputs), (7, 1))

    most = budget // (3 * taps * inputs)
    aligned = sign * (3 - k % 3 // 2)
    halves = torch.where(2 * k < inputs, 3 * sign, -3 * sign)
    dense = torch.stack([aligned, halves, k * 7919 % 7 - 3, -aligned, k * 104723 % 7 - 3])
    dense_weight = (share * -most).ceil_().add_(most).mul_(tap_sign)

    stride = len(BITS) * max(1, inputs // (4 * len(BITS)))
    sparse = torch.zeros(min(len(BITS), inputs), inputs, dtype=torch.int64)
    for i, row in enumerate(sparse):
        taken = range(i, inputs, stride)[: budget >> BITS[i]]
        row[taken] = sign[taken] * (budget // (len(taken) << BITS[i]) - torch.arange(len(taken))).clamp_min(1)
    largest = torch.tensor(BITS).float().exp2()[k % len(BITS)].repeat_interleave(taps)
    sparse_weight = (share * -largest).ceil_().add_(largest).mul_(tap_sign)
    return [(dense.float(), dense_weight, bias), (sparse.float(), sparse_weight, bias)]


def _is_exact(product: Product, inputs: int, outputs: int, bias: bool, device: torch.device) -> bool:
    """Return whether a product of vectors and weights, plus a bias if there is one, is the one of integers."""
    for vectors, weight, shift in _numbers(inputs, outputs):
        expected = vectors.double() @ weight.double().T + (shift.double() if bias else 0)
        vectors, weight, shift, expected = (t.to(device) for t in (vectors, weight, shift, expected.float()))
        for rows in CPU_ROWS if device.type == "cpu" else _rows_tried(inputs, outputs):
            turns = torch.arange(rows, device=device) % len(vectors)
            x = vectors[turns]
            # On a GPU torch takes other ways for vectors of whole pictures, [B, inputs], than for [B, H, W, inputs].
            for form in (x[None, :, None], x)[: 1 if device.type == "cpu" else 2]:
                y = product(form, weight, shift if bias else None)
                if not torch.equal(y.view(len(x), outputs), expected[turns]):
                    return False
    return True


@cache
def _product_is_exact(inputs: int, outputs: int, bias: bool | None, device: torch.device) -> bool:
    """Return whether products by a matrix `[outputs, inputs]` are exact; bias None: by one `[inputs, outputs]`."""
    with known_state():
        if bias is None:
            return _is_exact(lambda x, weight, _: x @ weight.T.contiguous(), inputs, outputs, False, device)
        return _is_exact(F.linear, inputs, outputs, bias, device)


@cache
def _onednn_is_exact(inputs: int, outputs: int, bias: bool) -> bool:
    with known_state():
        return _is_exact(_onednn_linear, inputs, outputs, bias, torch.device("cpu"))


@cache
def _convolution_is_exact(inputs: int, outputs: int) -> bool:
    """Return whether torch's convolution on the CPU equals the sum over the nine neighbours."""
    with known_state():
        for (vectors, weight, _), apart in zip(_numbers(inputs, outputs, 9), (1, 3)):
            matrix, weight = weight.double(), weight.view(outputs, inputs, 3, 3)
            for height, width in GRIDS:
                x = torch.zeros(1, height, width, inputs, dtype=torch.float32)
                # Three rows each of the vectors whose sums come near to 2^24; of the others one in a square of 3x3.
                part = x[:, ::apart, ::apart]
                turns = torch.arange(part[..., 0].numel()).view(part.shape[:-1]) // (3 * width if apart == 1 else 1)
                part[:] = vectors[turns % len(vectors)]
                expected = matrix @ F.unfold(x.permute(0, 3, 1, 2), 3, padding=1)[0].double()
                if not torch.equal(_direct_convolution(x, weight)[0].flatten(0, 1), expected.T.float()):
                    return False
    return True


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
            and _onednn_is_exact(*reversed(self.weight.shape), self.bias is not None)
        ):
            return _onednn_linear(x, self.weight, self.bias)
        return in_parts(super().forward, x, self.out_features)


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
    # Without oneDNN torch may take NNPACK's Winograd instead of what has been tried.
    direct = x.device.type == "cpu" and torch.backends.mkldnn.enabled and _convolution_is_exact(inputs, outputs)
    if torch.is_grad_enabled() or direct:
        return _direct_convolution(x, weight)
    return conv3x3_as_product(x, weight)


def _direct_convolution(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x.permute(0, 3, 1, 2), weight, padding=1).permute(0, 2, 3, 1)


def conv3x3_as_product(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve as `conv3x3` does, by one matrix product over the nine neighbours."""
    height, width = x.shape[1:3]
    padded = F.pad(x, (0, 0, 1, 1, 1, 1))
    neighbours = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    matrix = weight.permute(2, 3, 1, 0).flatten(0, 2)
    return in_parts(lambda x: x @ matrix, torch.cat(neighbours, -1), len(weight))
