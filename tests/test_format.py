"""Messages and images read by decoders that follow docs/format.md alone: sections 5, 7, 8 and 10."""

import math
import struct
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from functools import cache
from itertools import accumulate, pairwise

import numpy as np
import pytest
from conftest import photograph

import lic_native
from lic_native import _native, image
from lic_native.entropy.distributions import LogisticPair
from lic_native.image.container import unpack
from lic_native.limits import DEFAULT_LIMITS
from lic_native.models import registry

TOTAL = 1 << 15
DTYPES = {1: "int8", 2: "uint8", 3: "int16", 4: "uint16", 5: "int32", 6: "uint32", 7: "int64"}


# Section 5


class Bytes:
    def __init__(self, data: bytes):
        self.data, self.position = data, 0

    def take(self, count: int) -> bytes:
        taken = self.data[self.position :][:count]
        assert len(taken) == count
        self.position += count
        return taken

    def integer(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def varint(self) -> int:
        byte = self.integer(1)
        return byte if byte < 128 else byte - 128 + 128 * self.varint()


def decode_group(data: bytes, count: int, distribution, context=lambda i: 0) -> list[int]:
    """The symbols of a stream of one group; `distribution(i)` is a `Row` or a `Window`, `context(i)` its context."""
    stream = Bytes(data)
    curves = defaultdict(Curve)

    def curve(i: int) -> Curve:
        return curves[context(i), distribution(i).range]

    head = stream.integer(1) if data else 0
    lanes = 1 << (head & 7)
    combed, combs, windows = set(), defaultdict(Comb), {}
    if head & 0x87 == 0x87:
        lanes, last = 1 << stream.integer(1), -1
        for _ in range(stream.varint()):
            first = last + 1 + stream.varint()
            last = first + stream.varint()
            combed.update(range(first, last + 1))
    escapes = Bytes(stream.take(stream.varint()) if head & 8 else b"")
    states = [(1 << 16) + stream.integer(head >> 4 & 7) for _ in range(lanes)]
    symbols = []
    for i in range(count):
        state = states[i % lanes]
        slot = state % TOTAL
        found = distribution(i).by(curve(i).at) if head >> 7 else distribution(i)
        if context(i) in combed:
            found = combs[context(i)].by(found, distribution(i))
            windows[i] = found
        place, start, end = found.find(slot)
        state = (end - start) * (state // TOTAL) + slot - start
        states[i % lanes] = state if state >= 1 << 16 else state * (1 << 16) + stream.integer(2)
        symbols.append(found.symbol(place, escapes))
        if i % 64 == 63 or i + 1 == count:
            block = range(i // 64 * 64, i + 1)
            for j in block:
                curve(j).count(*distribution(j).interval(symbols[j]))
            for j in block:
                curve(j).renew()
                if context(j) in combed:
                    combs[context(j)].count(windows[j], symbols[j])
            for j in block:
                if context(j) in combed:
                    combs[context(j)].renew()
    assert states == [1 << 16] * lanes
    assert (escapes.position, stream.position) == (len(escapes.data), len(data))
    return symbols


class Curve:
    EDGES = (0, 16, 128, 1024, 4096, *range(8192, 57345, 8192), 61440, 64512, 65408, 65520, 65536)

    def __init__(self):
        self.values, self.counts, self.seen, self.fresh = list(self.EDGES), [0] * 16, 0, 0

    def at(self, v: int) -> int:
        k = min(bisect(self.EDGES, v) - 1, 15)
        slope = (self.values[k + 1] - self.values[k] << 15) // (self.EDGES[k + 1] - self.EDGES[k])
        return self.values[k] + ((v - self.EDGES[k]) * slope >> 15)

    def count(self, below: int, above: int) -> None:
        a = self.at(below)
        b = max(self.at(above), a + 1)
        inside = [min(max(value, a), b) for value in self.values]
        for k in range(16):
            self.counts[k] += (inside[k + 1] - inside[k]) * (2**28 // (b - a)) >> 16
        self.seen, self.fresh = self.seen + 1, self.fresh + 1

    def renew(self) -> None:
        if 32 * self.fresh < self.seen + 128:
            return
        if self.seen > 1000:
            self.seen, self.counts = self.seen // 2, [count // 2 for count in self.counts]
        weights = [c + 10 * (e - d) for c, d, e in zip(self.counts, self.EDGES, self.EDGES[1:])]
        unit = 2**48 // sum(weights)
        self.values = [sum(weights[:k]) * unit >> 32 for k in range(16)] + [65536]
        self.fresh = 0


class Comb:
    def __init__(self):
        self.counted, self.expected, self.ratios = Counter(), Counter(), defaultdict(lambda: 1024)
        self.seen = self.fresh = 0

    def by(self, window: "Window", plain: "Window") -> "Window":
        """Return a calibrated window with the corrected starts, and what its values are expected."""
        half = 2 ** min(max(plain.range + 1, 3), 7)
        first = max(plain.centre - half + 1, window.low, -511)
        n = min(plain.centre + half - 1, window.low + len(window.starts) - 2, 511) - first + 1
        result = Window(window.low, window.bounds)
        result.shares = {}
        if n < 2:
            return result
        j = first - window.low
        starts = window.starts[j : j + n + 1]
        sizes = [b - a for a, b in pairwise(starts)]
        weights = [size * self.ratios[first + i] for i, size in enumerate(sizes)]
        spread, total = starts[n] - starts[0], sum(weights)
        unit = (spread - n << 32) // total
        for i, before in enumerate(accumulate(weights[:-1], initial=0)):
            result.starts[j + i] = starts[0] + i + (before * unit >> 32)
        share = min((spread << 22) // total, 1 << 15)
        result.shares = {first + i: size * share >> 12 for i, size in enumerate(sizes)}
        return result

    def count(self, window: "Window", symbol: int) -> None:
        self.expected.update(window.shares)
        self.counted[symbol] += symbol in window.shares
        self.seen, self.fresh = self.seen + 1, self.fresh + 1

    def renew(self) -> None:
        if 32 * self.fresh < self.seen + 128:
            return
        if self.seen > 8192:
            self.seen //= 2
            for counts in (self.counted, self.expected):
                counts.update({v: count // 2 - count for v, count in counts.items()})
        for v in {abs(v) for v in self.expected}:
            counted, expected = (
                counts[v] + (counts[-v] if v else counts[v]) for counts in (self.counted, self.expected)
            )
            ratio = 2**10 * (2**15 * counted + 2**14) // (expected + 2**14)
            self.ratios[v] = self.ratios[-v] = min(max(ratio, 1), 65535)
        self.fresh = 0


# Section 7


def decode_message(data: bytes, distribution, context=lambda i: 0) -> np.ndarray:
    message = Bytes(data)
    assert message.integer(1) == 0xD1
    kind = message.integer(1)
    dtype = DTYPES[kind & 63]
    shape = tuple(message.varint() for _ in range(message.varint()))
    count = math.prod(shape)
    source = message.varint() if kind & 64 else 0
    if source > 1:
        run, size = math.prod(shape[source - 1 :]), shape[source - 2]

        def context(i: int) -> int:
            return i // run % size

    parts = message.varint() + 1
    lengths = [message.varint() for _ in range(parts - 1)]
    lengths.append(len(data) - 4 - message.position - sum(lengths))
    blocks = -(-count // 64)
    starts = [min(64 * (blocks * i // parts), count) for i in range(parts + 1)]
    symbols = []
    for length, start, end in zip(lengths, starts, starts[1:]):
        place = start.__add__
        own = (lambda i, of=of, place=place: of(place(i)) for of in (distribution, context))
        symbols += decode_group(message.take(length), end - start, *own)
    assert message.integer(2) == sum(symbols) % 2**16
    return np.array(symbols, np.int64).astype(dtype).reshape(shape)


# Section 8


class Row:
    """Symbols from `first` on, and one escape."""

    def __init__(self, first: int, boundaries: list[int], shift: int = 0, range: int = 0):
        self.first, self.boundaries, self.shift, self.range = first, boundaries, shift, range

    def bound(self, r: int) -> int:
        spare = TOTAL + 1 - len(self.boundaries)
        return -(-65536 * (self.boundaries[r] - r) // spare) if spare else 0

    def by(self, at: Callable[[int], int]) -> "Row":
        ranks, spare = len(self.boundaries) - 1, TOTAL + 1 - len(self.boundaries)
        starts = [r + (at(self.bound(r)) * spare >> 16) for r in range(ranks)]
        return Row(self.first, [*starts, TOTAL], self.shift)

    def interval(self, symbol: int) -> tuple[int, int]:
        j, escape = symbol - self.shift - self.first, len(self.boundaries) - 2
        r = j if 0 <= j < escape else escape
        return self.bound(r), self.bound(r + 1)

    def find(self, slot: int) -> tuple[int, int, int]:
        j = bisect(self.boundaries, slot) - 1
        return j, self.boundaries[j], self.boundaries[j + 1]

    def symbol(self, j: int, escapes: Bytes) -> int:
        symbols = len(self.boundaries) - 2
        if j == symbols:
            distance = escapes.varint()
            j = -1 - distance // 2 if distance % 2 else symbols + distance // 2
        return self.first + j + self.shift


def fingerprint(rows: list[Row]) -> int:
    packed = [struct.pack(f"<iI{len(r.boundaries)}H", r.first, len(r.boundaries) - 2, *r.boundaries) for r in rows]
    return _native.fingerprint(b"".join(packed))


def add(values) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


def row(first: int, weights: list[float]) -> Row:
    freqs, total, rest = [0] * len(weights), TOTAL, add(weights)
    while True:
        per_weight = total / rest if rest else math.nan
        light = [i for i, w in enumerate(weights) if not freqs[i] and not w * per_weight >= 1]
        if not light:
            break
        for i in light:
            freqs[i] = 1
        total, rest = total - len(light), rest - add(weights[i] for i in light)
    remainders = []
    for i, weight in enumerate(weights):
        if not freqs[i]:
            ideal = weight * (total / rest)
            freqs[i] = int(ideal)
            remainders.append((freqs[i] - ideal, i))
    order = [i for _, i in sorted(remainders)] or list(range(len(weights)))
    left = TOTAL - sum(freqs)
    for rank, i in enumerate(order):
        freqs[i] += left // len(order) + (rank < left % len(order))
    return Row(first, [0, *np.cumsum(freqs).tolist()])


def exp(x: float) -> float:
    if x < -700:
        return 0.0
    k = round_away(x * 1.4426950408889634)
    r = (x - k * 0.6931471803691238) - k * 1.9082149292705877e-10
    series = 1.0
    for n in range(18, 0, -1):
        series = 1.0 + series * r / n
    return series * 2.0**k


def round_away(x: float) -> int:
    """Halves away from zero."""
    return int(x + math.copysign(0.5, x))


def gaussian(x: float) -> float:
    if x > 0:
        return 1.0 - gaussian(-x)
    t, density = -x, 0.3989422804014327 * exp(-0.5 * x * x)
    if t < 3:
        term = total = t
        n = 1.0
        while term > total * 1e-17:
            n += 2.0
            term *= t * t / n
            total += term
        return 0.5 - density * total
    fraction = t
    for n in range(80, 0, -1):
        fraction = t + n / fraction
    return density / fraction


def laplace(x: float) -> float:
    return 1.0 - 0.5 * exp(-x) if x > 0 else 0.5 * exp(x)


def logistic(x: float) -> float:
    return 1.0 / (1.0 + exp(-x))


FAMILIES = {"Gaussian": gaussian, "Laplace": laplace, "Logistic": logistic}


def parametric(cdf, mean: float, scale: float) -> Row:
    def upper(distance: float) -> float:
        return cdf(-distance / scale)

    def mass(x: int) -> float:
        d = abs(x - mean)
        return 1.0 - upper(0.5 - d) - upper(0.5 + d) if d < 0.5 else upper(d - 0.5) - upper(d + 0.5)

    low = high = round_away(mean)
    while mass(low - 1) >= 2.0**-17:
        low -= 1
    while mass(high + 1) >= 2.0**-17:
        high += 1
    weights = [mass(x) for x in range(low, high + 1)]
    return row(low, [*weights, upper(mean - low + 0.5) + upper(high + 0.5 - mean)])


def level(scale: float) -> int:
    mantissa, exponent = math.frexp(scale)
    return min(max(8 * (exponent - 1 + 4) + int(16 * mantissa) - 8, 0), 103)


def begin(level: int) -> float:
    return (8 + level % 8) / 8 * 2.0 ** (level // 8) / 16


@cache
def ladder_row(family: str, level: int, k: int) -> Row:
    fractions = max(64 >> level // 8, 1)
    return parametric(FAMILIES[family], k / fractions, math.sqrt(begin(level) * begin(level + 1)))


def located(family: str, mean: float, scale: float) -> Row:
    fractions = max(64 >> level(scale) // 8, 1)
    n = math.floor(mean * fractions + 0.5)
    found = ladder_row(family, level(scale), n % fractions)
    return Row(found.first, found.boundaries, n // fractions, min(max(level(scale) // 8 - 1, 0), 7))


class Window:
    """Symbols from `low` on, and an escape on either side; `bounds` are F below each symbol and above the last."""

    def __init__(self, low: int, bounds: list[int], range: int = 0, centre: int = 0):
        self.low, self.bounds, self.range, self.centre = low, bounds, range, centre
        spare = TOTAL - 1 - len(bounds)
        self.starts = [1 + j + (bound * spare >> 16) for j, bound in enumerate(bounds)]

    def by(self, at: Callable[[int], int]) -> "Window":
        return Window(self.low, [at(bound) for bound in self.bounds])

    def interval(self, symbol: int) -> tuple[int, int]:
        bounds = [0, *self.bounds, 65536]
        j = min(max(symbol - self.low + 1, 0), len(self.bounds))
        return bounds[j], bounds[j + 1]

    def find(self, slot: int) -> tuple[int, int, int]:
        j = bisect(self.starts, slot) - 1
        return j, self.starts[j] if j >= 0 else 0, self.starts[j + 1] if j + 1 < len(self.starts) else TOTAL

    def symbol(self, j: int, escapes: Bytes) -> int:
        if j < 0:
            return self.low - 1 - escapes.varint()
        return self.low + j + (escapes.varint() if j + 1 == len(self.starts) else 0)


@cache
def knots(family: str) -> list[int]:
    values = [min(round_away(FAMILIES[family](i / 64 - 12) * 65536), 65535) for i in range(1537)]
    return [*values, values[-1]]


def curve(family: str, a: int) -> int:
    i, between = divmod(min(max(a, -12 << 16), 12 << 16) + (12 << 16), 1024)
    here, there = knots(family)[i : i + 2]
    return here + ((there - here) * between + 512 >> 10)


@cache
def radius(family: str, level: int) -> int:
    cdf, end = FAMILIES[family], begin(level + 1)
    masses = ((d, cdf((0.5 - d) / end) - cdf((-0.5 - d) / end)) for d in range(1, 2047))
    return next((d for d, mass in masses if mass * TOTAL < 1), 2047)


def mixture(components: list[tuple[str, float, float, float]]) -> Window:
    highest = max(weight for _, weight, _, _ in components)
    total, so_far, before, shares = add(w / highest for _, w, _, _ in components), 0.0, 0, []
    for _, weight, _, _ in components:
        so_far += weight / highest
        shares.append(int(so_far * TOTAL / total + 0.5) - before)
        before += shares[-1]
    means = [math.floor(256 * mean + 0.5) for _, _, mean, _ in components]
    reciprocals = [int(2**32 / min(max(scale, 2**-6), 2**16)) for _, _, _, scale in components]
    centres = [mean + 128 >> 8 for mean in means]
    centre = centres[shares.index(max(shares))]
    reaches = [(c, radius(f, level(s))) for share, c, (f, _, _, s) in zip(shares, centres, components) if share]
    low = max(min(c - r for c, r in reaches), centre - 2047)
    n = min(max(c + r for c, r in reaches), centre + 2047) - low + 1
    distances = [min(max(mean - 256 * low, -(2**22)), 2**22) for mean in means]
    bounds = []
    for j in range(n + 1):
        parts = zip(components, shares, reciprocals, distances)
        mixed = sum(share * curve(f, (256 * j - 128 - d) * r >> 24) for (f, _, _, _), share, r, d in parts)
        bounds.append(mixed >> 15)
    octave = math.floor(math.log2(min(max(components[shares.index(max(shares))][3], 2**-6), 2**16)))
    return Window(low, bounds, min(max(octave + 3, 0), 7))


def pair(params) -> Window:
    """A mixture of two logistic distributions by five integers."""
    (*means, s1, s2, w) = (int(x) for x in params)
    scales = [2 ** ((min(max(s, 0), 127) - 48) / 8) for s in (s1, s2)]
    weight = round(2**15 / (1 + math.exp((64 - min(max(w, 0), 127)) / 8)))
    reaches = [min(max(math.ceil(s * math.log(TOTAL / s)) + 1, 2), 2047) for s in scales]
    centres = [mean + 8 >> 4 for mean in means]
    heavier = 0 if weight >= 2**14 else 1
    low = max(min(c - r for c, r in zip(centres, reaches)), centres[heavier] - 2047)
    high = min(max(c + r for c, r in zip(centres, reaches)), centres[heavier] + 2047)

    def below(symbol: int) -> int:
        parts = [curve("Logistic", (16 * symbol - 8 - mean) * round(2**24 / s) >> 12) for mean, s in zip(means, scales)]
        return parts[0] * weight + parts[1] * (2**15 - weight) >> 15

    bounds = [below(symbol) for symbol in range(low, high + 2)]
    return Window(low, bounds, min(max((s1, s2)[heavier] // 8 - 3, 0), 7), centres[heavier])


def categorical(probabilities: np.ndarray) -> Row:
    p = probabilities.astype(np.float32)
    q = [int(x) for x in np.rint(p * (np.float32(2**19) / p.max()))]
    n = len(q)
    step = (TOTAL - 1 - n << 32) // sum(q)
    return Row(0, [j + (sum(q[:j]) * step >> 32) for j in range(n + 1)] + [TOTAL])


def converted(first: int, boundaries: list[int], bits: int) -> Row:
    if bits == 15:
        return Row(first, boundaries)
    slot = 1 << 31 - bits
    weights = [int(f) * slot for f in np.diff(boundaries)][:-1]
    for _end in range(2 if bits > 15 else 0):
        tail = next((j for j, weight in enumerate(weights) if weight > slot), None)
        if tail is not None:
            total, weight = sum(weights[:tail]), max(weights[tail : tail + 2])
            body = weight
            for j in range(tail - 1, -1, -1):
                weight = weight * total // (body + total)
                weights[j] = weight
        weights.reverse()
    while weights and (min(weights[0], weights[-1]) < 1 << 14 or len(weights) >= TOTAL):
        if weights[0] <= weights[-1]:
            weights, first = weights[1:], first + 1
        else:
            weights = weights[:-1]
    return row(first, [*map(float, weights), float((1 << 31) - sum(weights))])


# Section 10


def power(level: int) -> int:
    """2^(16 + level / 256), rounded down: the largest integer whose 256th power is not more than its own."""
    bound = Fraction(2) ** (256 * 16 + level)
    low, high = 0, 1 << 40
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**256 <= bound else (low, middle)
    return low


def image_row(levels: list[int], centre: int, cumulative: list[int], i: int) -> Row:
    s = min(i // 64, 6)
    t = i - 64 * s
    step = power(-(((64 - t) * levels[s] + t * levels[s + 1]) // 64))
    z = list(range(17))
    while z[-1] < 8192:
        z.append(math.ceil(z[-1] * 1.08))
    unit = max(power(-max(levels)) // 2, 1)
    knots = [centre + unit * n for n in [-n for n in z[:0:-1]] + z]
    assert len(knots) == len(cumulative)

    def f(x: int) -> int:
        x = min(max(x, knots[0]), knots[-1])
        j = min(bisect(knots, x) - 1, len(knots) - 2)
        (x0, x1), (f0, f1) = knots[j : j + 2], cumulative[j : j + 2]
        return f0 + (f1 - f0) * (x - x0) // (x1 - x0)

    lowest = max((j for j, value in enumerate(cumulative) if value <= 256), default=0)
    highest = min((j for j, value in enumerate(cumulative) if value > 2**24 - 256), default=len(knots) - 1)
    low, high = (2 * knots[lowest] // step - 1) // 2, (2 * knots[highest] // step + 2) // 2
    weights = [f((2 * k + 1) * step // 2) - f((2 * k - 1) * step // 2) for k in range(low, high + 1)]
    first, last = 0, len(weights)
    while first < last and sum(weights[: first + 1]) <= 256:
        first += 1
    while last > first and sum(weights[last - 1 :]) <= 256:
        last -= 1
    if first == last:
        first, last = 0, len(weights)
    kept = weights[first:last]
    boundaries = [0]
    for weight in kept:
        boundaries.append(boundaries[-1] + weight * (2**24 - 512 - len(kept)) // 2**24 + 1)
    return converted(low + first, [*boundaries, 2**24], 24)


class MspDecoder:
    """The walk of `msp`, in double precision, whose sums are exact, too. Slots are the native coder's (section 4)."""

    def __init__(self, stream: bytes, weights: dict[str, np.ndarray], config: dict, index: int):
        self.w, self.config, self.index = weights, config, index
        self.decoder = lic_native.Decoder(stream)
        s = min(index // 64, 6)
        t = index - 64 * s
        gains = weights["gain_levels"].astype(int)
        levels = ((64 - t) * gains[s] + t * gains[s + 1]) // 64 + weights["deviation_levels"]
        self.unit = np.array([power(int(level) + 16 * 256) / 2**32 for level in levels], np.float32)
        self.inverse, self.level = np.float32(1) / self.unit, np.float32(levels * (math.log(2) / 256))

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        result = np.asarray(x, float) @ self.w[f"{name}.weight"].astype(float).T
        return (result + self.w.get(f"{name}.bias", 0)).astype(np.float32)

    def conv(self, name: str, x: np.ndarray) -> np.ndarray:
        padded, kernel = np.pad(x, ((1, 1), (1, 1), (0, 0))), self.w[f"{name}.weight"].astype(float)
        rows, columns = x.shape[:2]
        return sum(padded[y : y + rows, x : x + columns] @ kernel[..., y, x].T for y in range(3) for x in range(3))

    def quantized(self, name: str, x: np.ndarray) -> np.ndarray:
        step, limit = self.w[f"{name}.step"], self.w[f"{name}.limit"]
        return np.clip(np.rint(x / step) * step, -limit, limit)

    def leaky_relu(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.quantized(name, np.where(x < 0, x / np.float32(8), x))

    def seen(self, x: np.ndarray, channels: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        z = x.astype(np.float32) * self.inverse[channels]
        fine = np.rint(np.clip(z, -6, 6) * 4096) / 4096
        magnitude = 1 + 2 * np.abs(z)
        exponent = np.floor(np.log2(magnitude))
        linear = exponent + magnitude / np.exp2(exponent) - 1
        return fine, np.rint(fine * 32) / 32, np.minimum(np.floor(linear * 32 + 0.5) / 32, 12)

    def grid(self, rows: int, columns: int, depth: int = 0) -> np.ndarray:
        basis = [max(0, 1 - abs(self.index / 64 - j)) for j in range(8)]
        inputs = np.array([*basis, *np.eye(3)[depth]])
        conditioning = self.leaky_relu("conditioning.output", self.linear("conditioning.linear", inputs))
        if depth == 2:
            return self.phase(0, None, conditioning, rows, columns)
        half = -(-rows // 2), -(-columns // 2)
        result = np.zeros((2 * half[0], 2 * half[1], len(self.unit)), int)
        planes = []
        for p, (i, j) in enumerate([(0, 0), (1, 1), (0, 1), (1, 0)]):
            inside = len(range(i, rows, 2)), len(range(j, columns, 2))
            if p == 0:
                coded = self.grid(*inside, depth + 1)
            elif 0 in inside:
                coded = np.zeros((*inside, len(self.unit)), int)
            else:
                context = sum(
                    np.float32(self.conv(f"trunks.{p}.{name}", np.concatenate(parts, -1)))
                    for name, parts in zip(("context", "fine_context"), zip(*planes))
                )
                coded = self.phase(p, context, conditioning, *inside)
            plane = np.pad(coded, ((0, half[0] - inside[0]), (0, half[1] - inside[1]), (0, 0)))
            result[i::2, j::2] = plane
            fine, coarse, magnitude = self.seen(plane, slice(None))
            embedded = self.linear(
                "embedding.linear", np.concatenate([coarse, magnitude, np.ones_like(fine[..., :1])], -1)
            )
            skip = self.config["skip_channels"]
            embedded = self.leaky_relu("embedding.output", embedded)
            planes.append((embedded.astype(float), fine[..., :skip].astype(float)))
        return result[:rows, :columns]

    def phase(self, p: int, context: np.ndarray | None, conditioning: np.ndarray, *size: int) -> np.ndarray:
        trunk, width, skip = f"trunks.{p}.", self.config["trunk_width"], self.config["skip_channels"]
        gain, shift = np.split(self.linear(trunk + "film", conditioning), 2)
        rows, columns = size
        if context is None:
            t = np.broadcast_to(shift, (rows, columns, width))
        else:
            t = context[..., :width] * (np.float32(1) + gain) + shift
        t = self.leaky_relu(trunk + "blocks.0.input", t)
        hidden = self.leaky_relu(trunk + "blocks.0.hidden", self.linear(trunk + "blocks.0.first", t))
        t = t + self.linear(trunk + "blocks.0.second", hidden)
        for i in range(0 if context is None else len(self.config["context_blocks"])):
            block = f"{trunk}context_blocks.{i}."
            first = self.conv(block + "first", self.quantized(block + "input", t)) + self.w[block + "first.bias"]
            hidden = self.leaky_relu(block + "hidden", first.astype(np.float32))
            t = t + self.linear(block + "second", hidden)
        context, t = None if context is None else context[:rows, :columns], t[:rows, :columns]
        states = self.linear("head.context", self.quantized("head.input", t))
        coded, fines, rest = [], [], []
        for k, (a, b) in enumerate(self.config["groups"]):
            hidden = states[..., k * self.config["head_width"] : (k + 1) * self.config["head_width"]]
            mean = np.zeros((rows, columns, b - a), np.float32)
            if k:
                hidden = hidden + self.linear(f"head.group_context.{k - 1}", np.concatenate(rest, -1))
                mean = self.linear(f"head.group_mean.{k - 1}", np.concatenate(fines, -1))
            if context is not None and a < skip:
                mean[..., : skip - a] += context[..., width:][..., a:b]
            raw = self.linear(f"head.output.{k}", self.leaky_relu(f"head.hidden.{k}", hidden))
            raw = raw.reshape(rows, columns, b - a, 5)
            unit, level = self.unit[a:b, None], self.level[a:b, None]
            octave = np.float32(8 / math.log(2))
            parts = [
                np.clip((raw[..., :2] + mean[..., None]) * (16 * unit), -32767, 32767),
                np.clip(raw[..., 2:4] * octave + (level * octave + np.float32(48)), 0, 127),
                np.clip(raw[..., 4:] * np.float32(8) + np.float32(64), 0, 127),
            ]
            params = np.rint(np.concatenate(parts, -1)).astype(np.int16)
            x = np.empty(params.shape[:-1], np.int16)
            self.decoder.get(LogisticPair(params, np.arange(a, b, dtype=np.uint16)), out=x)
            coded.append(x)
            fine, coarse, magnitude = self.seen(x, slice(a, b))
            fines.append(fine)
            rest += [coarse, magnitude]
        return np.concatenate(coded, -1).astype(int)


# What the library writes


def check(symbols: np.ndarray, distribution, model) -> None:
    decoded = decode_message(lic_native.encode(symbols, distribution), model)
    assert decoded.dtype == symbols.dtype and np.array_equal(decoded, symbols)


def check_calibrated(symbols: np.ndarray, distribution, model, context=lambda i: 0, **options) -> None:
    """The distribution must be wrong, so that there is something to learn."""
    data = lic_native.encode(symbols, distribution, calibrate=True, **options)
    assert data[1] & 64 and len(data) < len(lic_native.encode(symbols, distribution))
    decoded = decode_message(data, model, context)
    assert decoded.dtype == symbols.dtype and np.array_equal(decoded, symbols)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("family", FAMILIES)
def test_tables(family, rng):
    scales = [0.11, 0.5, 3.0, 40.0]
    rows = [parametric(FAMILIES[family], 0.0, scale) for scale in scales]
    tables = getattr(lic_native.Tables, family.lower())(scales)
    assert fingerprint(rows) == tables.fingerprint()
    indexes = rng.integers(0, 4, (7, 500))
    symbols = np.rint(rng.normal(0, np.array(scales)[indexes])).astype(np.int16)
    symbols[::3, ::100] = 20_000
    check(symbols, tables[indexes], lambda i: rows[indexes.flat[i]])
    wrong = 3 - indexes
    for k, r in enumerate(rows):
        r.range = 2 * k
    contexts = rng.integers(0, 4096, 500)

    def model(i: int) -> Row:
        return rows[wrong.flat[i]]

    check_calibrated(symbols, tables[wrong], model, lambda i: wrong.flat[i])
    check_calibrated(symbols, tables[wrong], model, lambda i: contexts[i % 500] // 512, contexts=contexts // 512)
    check_calibrated(symbols, tables[wrong], model, axis=0)


def test_several_parts(rng):
    symbols = rng.integers(0, TOTAL - 1, 220_000, np.uint16)
    flat = Row(0, list(range(TOTAL + 1)))
    data = lic_native.encode(symbols, lic_native.Tables([flat.boundaries])[0])
    assert data[6] > 0
    assert np.array_equal(decode_message(data, lambda _: flat), symbols)


@pytest.mark.parametrize("family", FAMILIES)
def test_located(family, rng):
    mean, scale = rng.normal(0, 5, 2000).astype(np.float32), np.exp(rng.uniform(-4, 8, 2000)).astype(np.float32)
    symbols = np.rint(rng.normal(mean, scale)).astype(np.int32)
    rows = [located(family, float(m), float(s)) for m, s in zip(mean, scale)]
    check(symbols, getattr(lic_native, family)(mean, scale), rows.__getitem__)
    symbols = symbols.reshape(4, 5, 100)
    shape = 4, 5, 100
    wrong = getattr(lic_native, family)(*(p.reshape(shape) for p in (mean, scale)))
    symbols[:, 1:3] += np.rint(scale.reshape(shape)[:, 1:3]).astype(np.int32)
    symbols[0, 0, :3] = 2**31 - 1, -(2**31), 5000
    check_calibrated(symbols, wrong, rows.__getitem__, axis=1)


def test_mixtures(rng):
    families = ["Logistic", "Gaussian", "Laplace"]
    weights = rng.random((3, 300)).astype(np.float32) * (rng.random((3, 300)) < 0.9) + np.float32(1e-9)
    means = rng.normal(0, 30, (3, 300)).astype(np.float32)
    scales = np.exp(rng.uniform(-4, 7, (3, 300))).astype(np.float32)
    symbols = np.rint(rng.normal(means[0], scales[0])).astype(np.int32)
    symbols[:3] = 2**31 - 1, -(2**31), 5000
    windows = [
        mixture([(f, float(w[i]), float(m[i]), float(s[i])) for f, w, m, s in zip(families, weights, means, scales)])
        for i in range(300)
    ]
    components = [getattr(lic_native, f)(m, s) for f, m, s in zip(families, means, scales)]
    check(symbols, lic_native.Mixture(components, list(weights)), windows.__getitem__)
    symbols[3:] += np.rint(2 * scales[0, 3:]).astype(np.int32)
    check_calibrated(symbols, lic_native.Mixture(components, list(weights)), windows.__getitem__)


@pytest.mark.parametrize("calibrate", [False, True])
def test_pairs(rng, calibrate):
    """Whose scales are wrong by a factor, so that there is something to learn."""
    params = rng.integers([-99, -99, 10, 10, 0], [99, 99, 80, 80, 128], (2000, 5), np.int16)
    contexts = np.array([0, 9, 3, 9, 4095], np.uint16)
    pairs = [pair(p) for p in params]
    scales = 2.5 * 2 ** ((params[:, 2] - 48) / 8)
    symbols = np.rint(rng.logistic(params[:, 0] / 16, scales)).astype(np.int16)
    symbols[:3] = 32767, -32768, 700
    encoder = lic_native.Encoder(calibrate=calibrate)
    encoder.put(symbols, LogisticPair(params, contexts))
    data = encoder.finish()
    assert data[0] >> 7 == calibrate
    assert decode_group(data, 2000, pairs.__getitem__, lambda i: contexts[i % 5]) == symbols.tolist()


def test_combs(rng):
    """In one of two contexts only multiples of 3 occur."""
    params = rng.integers([-99, -99, 30, 30, 0], [99, 99, 60, 60, 128], (15_000, 5), np.int16)
    params[::500, :2] = [8000, -9000]
    contexts = np.array([5, 5, 4095], np.uint16)
    symbols = np.rint(rng.logistic(params[:, 0] / 16, 2 ** ((params[:, 2] - 48) / 8))).astype(np.int16)
    combed = np.arange(15_000) % 3 < 2
    symbols[combed] = symbols[combed] // 3 * 3
    symbols[:3] = 32767, -32768, 511
    pairs = LogisticPair(params, contexts)
    encoder = lic_native.Encoder(calibrate=True, combs=True)
    encoder.put(symbols, pairs)
    data = encoder.finish()
    # One run: five contexts are skipped, and it is one of one.
    assert data[0] & 0x87 == 0x87 and data[2:5] == bytes([1, 5, 0])
    encoder = lic_native.Encoder(calibrate=True)
    encoder.put(symbols, pairs)
    assert len(data) < 0.9 * len(encoder.finish())
    decoder = lic_native.Decoder(data)
    assert np.array_equal(decoder.get(pairs, dtype="int16"), symbols)
    decoder.finish()
    windows = [pair(p) for p in params]
    assert decode_group(data, 15_000, windows.__getitem__, lambda i: contexts[i % 3]) == symbols.tolist()


def test_categorical(rng):
    pmf = rng.dirichlet(np.full(9, 0.3), 1000).astype(np.float32)
    symbols = rng.integers(-2, 12, 1000, np.int8)
    rows = [categorical(p) for p in pmf]
    check(symbols, lic_native.Categorical(pmf), rows.__getitem__)
    check_calibrated(symbols, lic_native.Categorical(pmf), rows.__getitem__)
    one = row(0, [*(pmf[0].astype(float) / float(pmf[0].max())), 0.0])
    check(symbols, lic_native.Categorical(pmf[0].astype(float)), lambda _: one)


@pytest.mark.parametrize("bits", [1, 3, 12, 15, 16, 20, 24])
def test_cdfs_of_any_precision(bits, rng):
    end, rows = 1 << bits, []
    for first in range(-3, 3):
        inner = rng.integers(1, end, 500)
        inner = np.concatenate([np.arange(min(40, end // 4)), inner, np.arange(end - min(30, end // 4), end)])
        rows.append((first, [0, *sorted(set(inner.tolist()) - {0}), end]))
    cdf = np.zeros((6, max(len(b) for _, b in rows)), np.int32)
    for padded, (_, boundaries) in zip(cdf, rows):
        padded[: len(boundaries)] = boundaries
    tables = lic_native.Tables(cdf, [len(b) for _, b in rows], [first for first, _ in rows])
    assert fingerprint([converted(first, b, bits) for first, b in rows]) == tables.fingerprint()


def test_the_hash_of_a_message_is_seeded_with_the_fingerprint(rng):
    """XXH3 with a seed is in no library that the tests need."""
    xxhash = pytest.importorskip("xxhash")
    symbols, tables = rng.integers(-3, 4, 100, np.int8), lic_native.Tables.gaussian([2.0])
    ladder = [ladder_row("Laplace", at, k) for at in range(104) for k in range(max(64 >> at // 8, 1))]
    pairs = lic_native.Mixture([lic_native.Gaussian(0, 1), lic_native.Logistic(0, 1)], [1, 1])
    for distribution, seed in (
        (tables[0], tables.fingerprint()),
        (lic_native.Laplace(0, 2), fingerprint(ladder)),
        (pairs, _native.fingerprint(bytes([0, 2]))),
        (lic_native.Categorical(np.ones((100, 5))), 5),
        (lic_native.Categorical([1, 1]), fingerprint([row(0, [1.0, 1.0, 0.0])])),
    ):
        data = lic_native.encode(symbols, distribution)
        assert xxhash.xxh3_64_intdigest(data[:-2], seed) % 2**16 == int.from_bytes(data[-2:], "little")


@pytest.mark.parametrize("profile", ["fast", "balanced", "best"])
@pytest.mark.parametrize(("quality", "size"), [(2.7, (88, 104)), (8, (17, 15))])
def test_images_of_msp(profile, quality, size):
    data = lic_native.image.compress(photograph(*size), quality=quality, profile=profile, device="cpu")
    model = registry.load_image(f"msp-{profile}", "cpu")
    weights = {name.removeprefix("prior."): value.numpy() for name, value in model.state_dict().items()}
    parts = unpack(data, DEFAULT_LIMITS)
    rows, columns = (-(-n // 16) for n in size)
    decoder = MspDecoder(parts.latents, weights, asdict(model.config), parts.quality)
    decoded = decoder.grid(rows, columns)
    decoder.decoder.finish()
    assert np.array_equal(decoded.transpose(2, 0, 1), image.latents(data, device="cpu"))


@pytest.mark.parametrize("quality", [1, 3.3, 8])
def test_images(quality):
    data = image.compress(photograph(40, 56), quality=quality, profile="bls2017", device="cpu")
    file = Bytes(data)
    assert file.take(6) == b"\x89LIC\1\2"
    assert (file.varint(), file.varint(), file.integer(1), file.varint()) == (56, 40, 3, 4)
    model = registry.load_image("bls2017", "cpu")
    assert file.integer(4) == model.fingerprint()
    index = file.varint()
    assert index == round(64 * (quality - 1))
    checksum = file.integer(4)
    assert file.varint() == 0
    prior = [buffer.tolist() for buffer in (model.prior.gain_levels.T, model.prior.median, model.prior.cdf)]
    rows = [image_row(*numbers, index) for numbers in zip(*prior)]
    for i, r in enumerate(rows):
        r.range = 8 * i // len(rows)
    grid = 3 * 4
    stream = data[file.position : -4]
    symbols = decode_group(stream, len(rows) * grid, lambda i: rows[i // grid], lambda i: i // grid)
    stored = np.array(symbols, "<i2")
    assert np.array_equal(stored.reshape(-1, 3, 4), image.latents(data, device="cpu"))
    of_tiles = struct.pack("<Q", _native.fingerprint(stored.tobytes()))
    assert checksum == _native.fingerprint(of_tiles) % 2**32
