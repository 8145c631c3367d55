"""Streams of mixtures of two logistic distributions, coded where their parameters are.

The walk of a network asks for one group after the other. All that a group needs is on the device; the streams go there
before the first group, and come from there after the last one. Kernels, and so Triton, are imported where they are run.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .constants import (
    BYTES_OF_TWO,
    BYTES_PER_LANE,
    COST_BITS,
    CURVE_INTEGERS,
    LOWER_BOUND,
    MAX_LANES,
    RANGES,
    constants,
    uniform_curve,
)

__all__ = ["Coded", "MixtureDecoder", "MixtureEncoder", "encode", "has_combs", "read_head"]

#: Bits of a stream's first byte that are all set where there are combs (`rust/src/ans/constants.rs`).
HAS_COMBS = 1 << 7 | 7
#: Symbols that a stream codes before its curves are renewed, and integers of the room for what they need (`kernels`).
BLOCK, ROOM = 64, 1280


class Head(NamedTuple):
    """What precedes the words of a stream. escapes: where they begin and end. words: where those begin."""

    lanes: int
    calibrated: bool
    states: list[int]
    escapes: tuple[int, int]
    words: int


def read_head(stream: bytes) -> Head | None:
    """Return what precedes the words of a stream, or None if that is damaged or the stream has combs."""
    if not stream:
        return Head(1, False, [LOWER_BOUND], (0, 0), 0)
    first, position, escapes = stream[0], 1, (0, 0)
    lanes, width = 1 << (first & 7), first >> 4 & 7
    if lanes > MAX_LANES or width > 4:
        return None
    if first & 8:
        length = shift = 0
        while True:
            if position >= len(stream) or shift > 35:
                return None
            byte = stream[position]
            length, position, shift = length | (byte & 127) << shift, position + 1, shift + 7
            if byte < 128:
                break
        escapes = (position, position + length)
        position += length
    if position + lanes * width > len(stream):
        return None
    starts = range(position, position + lanes * width, width) if width else [position] * lanes
    states = [LOWER_BOUND + int.from_bytes(stream[at : at + width], "little") for at in starts]
    if max(states) >= 1 << 32:
        return None
    return Head(lanes, first >= 128, states, escapes, position + lanes * width)


def has_combs(stream: bytes) -> bool:
    """Return whether a stream says that it has combs, which only the coder in Rust knows."""
    return bool(stream) and stream[0] & HAS_COMBS == HAS_COMBS


class MixtureDecoder:
    """Takes groups of symbols from streams, one for each picture of a batch.

    Once made, it can be loaded with other streams of no more than `room` bytes in all; so a CUDA graph can hold it.

    contexts: of all groups.
    lanes: of any stream, at most.
    """

    def __init__(self, batch: int, room: int, contexts: int, lanes: int, device: torch.device) -> None:
        self.batch, self.room, self.lanes = batch, room, lanes
        self._contexts, self._constants = contexts, constants(device)
        self._device = device
        self._data = torch.zeros(max(room, 1), dtype=torch.uint8, device=device)
        #: For each stream, positions in the data: of the next word and of the words' end, the same of escapes.
        self._cursors = torch.zeros(batch, 4, dtype=torch.int64, device=device)
        self._states = torch.zeros(batch, MAX_LANES, dtype=torch.int64, device=device)
        #: For each stream: lanes, whether it is calibrated, whether it is known to be damaged.
        self._facts = [torch.zeros(batch, dtype=torch.int32, device=device) for _ in range(3)]
        self._room = torch.zeros(batch, ROOM, dtype=torch.int32, device=device)
        self._curves = torch.zeros(batch, contexts * RANGES, CURVE_INTEGERS, dtype=torch.int32, device=device)

    @staticmethod
    def needs(streams: Sequence[bytes]) -> tuple[int, int]:
        """Return the bytes of streams, and the lanes that a decoder of them must have: 8 or 64."""
        most = max((1 << (stream[0] & 7) for stream in streams if stream), default=1)
        return sum(map(len, streams)), 8 if most <= 8 else MAX_LANES

    def load(self, streams: Sequence[bytes]) -> None:
        """Begin with other streams, as many as before."""
        cursors, states = np.zeros((self.batch, 4), np.int64), np.full((self.batch, MAX_LANES), LOWER_BOUND)
        facts, start = np.zeros((3, self.batch), np.int32), 0
        for b, stream in enumerate(streams):
            head = read_head(stream)
            facts[:, b] = (1, False, True) if head is None else (head.lanes, head.calibrated, False)
            if head is not None:
                cursors[b] = head.words, len(stream), *head.escapes
                states[b, : head.lanes] = head.states
            cursors[b] += start
            start += len(stream)
        data = np.frombuffer(b"".join(streams), np.uint8).copy()
        self._data[:start].copy_(torch.from_numpy(data))
        for tensor, array in zip((self._cursors, self._states, *self._facts), (cursors, states, *facts), strict=True):
            tensor.copy_(torch.from_numpy(array))

    def start(self) -> None:
        """Forget what was learned. A walk begins with this."""
        self._curves.copy_(uniform_curve(self._device).expand_as(self._curves))

    def get(self, params: Tensor, channels: int, first_context: int) -> Tensor:
        """Decode a group: int16 params `[B, ..., 5]` to integers as floats `[B, ...]`.

        channels: elements i of the last axis have the contexts `first_context` + i.
        """
        params = params.contiguous()
        out = torch.empty(params.shape[:-1], dtype=torch.float32, device=params.device)
        n = out[0].numel()
        check_contexts(channels, first_context, self._contexts)
        facts, windows = (torch.empty(self.batch, n * k, dtype=torch.int32, device=params.device) for k in (3, 8))
        from . import kernels

        grid = -(-n // BLOCK), self.batch
        kernels.windows_of_mixtures[grid](params, facts, windows, self._constants, n, channels, first_context)
        kernels.decode_mixtures[(self.batch,)](
            self._data,
            self._cursors,
            self._states,
            *self._facts,
            params,
            facts,
            windows,
            out,
            self._room,
            self._curves,
            self._constants,
            n,
            self._curves.shape[1],
            V=self.lanes,
            num_warps=warps(self.batch),
        )
        return out

    def good(self) -> Tensor:
        """Return for each stream whether it ended as it must, bool `[B]` on the device."""
        ended = (self._cursors[:, 0] == self._cursors[:, 1]) & (self._cursors[:, 2] == self._cursors[:, 3])
        return ended & (self._states == LOWER_BOUND).all(1) & (self._facts[2] == 0)


class Coded(NamedTuple):
    """What an encoder has made of all groups, on the device.

    chosen: int64 `[B]`, 1 where calibration makes the stream shorter. lanes: int32 `[B]`. states: int64 `[B, 64]`.
    words: int16 `[B, N]`, from `firsts` `[B]` on. distances: int32 `[B, N]` of escapes, else -1.
    """

    chosen: Tensor
    lanes: Tensor
    states: Tensor
    words: Tensor
    firsts: Tensor
    distances: Tensor

    def streams(self) -> list[bytes]:
        """Return the stream of each picture."""
        chosen, lanes, states, firsts = (x.tolist() for x in (self.chosen, self.lanes, self.states, self.firsts))
        words = torch.cat([row[first:] for row, first in zip(self.words, firsts)]).cpu().numpy()
        escaped = self.distances >= 0
        outside, counts = self.distances[escaped].tolist(), escaped.sum(1).tolist()
        total, result, word, escape = self.words.shape[1], [], 0, 0
        for b, first in enumerate(firsts):
            own = words[word : word + total - first], outside[escape : escape + counts[b]]
            result.append(stream_of(states[b][: lanes[b]], own[1], own[0], bool(chosen[b])))
            word, escape = word + total - first, escape + counts[b]
        return result


class MixtureEncoder:
    """Puts groups of symbols into streams, one for each picture of a batch. Encoding begins after the last group.

    contexts: of all groups.
    """

    def __init__(self, batch: int, contexts: int, device: torch.device) -> None:
        self.batch, self._contexts, self._constants = batch, contexts, constants(device)
        self._device = device
        self._curves = torch.zeros(batch, contexts * RANGES, CURVE_INTEGERS, dtype=torch.int32, device=device)
        self._costs = torch.zeros(2, batch, dtype=torch.int64, device=device)
        self._groups: list[tuple[Tensor, Tensor]] = []
        #: The ends of groups on the device. A CUDA graph can't hold their way there, but a call before it makes it.
        self._ends: dict[tuple[int, ...], Tensor] = {}

    def start(self) -> None:
        """Forget all groups and what was learned. A walk begins with this."""
        self._curves.copy_(uniform_curve(self._device).expand_as(self._curves))
        self._costs.zero_()
        self._groups = []

    def put(self, params: Tensor, symbols: Tensor, channels: int, first_context: int) -> None:
        """Add a group: integers `[B, ...]` as floats with int16 params `[B, ..., 5]`; channels: as of `get`."""
        params, symbols = params.contiguous(), symbols.float().contiguous()
        n = symbols[0].numel()
        check_contexts(channels, first_context, self._contexts)
        slots = torch.empty(2, self.batch, n, dtype=torch.int32, device=symbols.device)
        distances = torch.empty_like(slots[0])
        facts = torch.empty(self.batch, 4 * n, dtype=torch.int32, device=symbols.device)
        from . import kernels

        grid = -(-n // BLOCK), self.batch
        kernels.bounds_of_symbols[grid](
            symbols,
            params,
            slots[0],
            distances,
            facts,
            self._costs[0],
            self._constants,
            n,
            channels,
            first_context,
        )
        kernels.correct_slots[(self.batch,)](
            facts,
            slots[1],
            self._costs[1],
            self._curves,
            self._constants,
            n,
            self._curves.shape[1],
            num_warps=warps(self.batch),
        )
        self._groups.append((slots, distances))

    def finish(self, max_lanes: int) -> Coded:
        """Encode all groups. max_lanes: as of `entropy.Encoder`."""
        all_slots, all_distances = zip(*self._groups)
        self._groups = []
        slots, distances = torch.cat(all_slots, -1), torch.cat(all_distances, -1)
        sizes = [group.shape[-1] for group in all_distances]
        return encode(slots, distances, self._costs, self._ends_of(sizes), min(max(sizes), max_lanes))

    def _ends_of(self, sizes: list[int]) -> Tensor:
        ends = tuple(accumulate(sizes))
        if ends not in self._ends:
            self._ends[ends] = torch.tensor(ends, dtype=torch.int32, device=self._device)
        return self._ends[ends]


def encode(slots: Tensor, distances: Tensor, costs: Tensor, ends: Tensor, max_lanes: int) -> Coded:
    """Encode slots `[2, B, N]`, those of less cost `[2, B]`. ends: of the groups. max_lanes: 0 counts as 1."""
    _, batch, total = slots.shape
    chosen = (costs[1] < costs[0]).long()
    lanes = affordable_lanes(costs.amin(0), max_lanes)
    states = torch.full((batch, MAX_LANES), LOWER_BOUND, dtype=torch.int64, device=slots.device)
    words = torch.empty(batch, total, dtype=torch.int16, device=slots.device)
    firsts = torch.empty(batch, dtype=torch.int64, device=slots.device)
    from . import kernels

    kernels.encode_slots[(batch,)](
        slots,
        chosen,
        ends,
        len(ends),
        lanes,
        states,
        words,
        firsts,
        total,
        batch,
        V=8 if max_lanes <= 8 else MAX_LANES,
        num_warps=1,
    )
    return Coded(chosen, lanes, states, words, firsts, distances)


def warps(streams: int) -> int:
    """Return how many warps code a stream: as many as shorten it, or few, where streams are many."""
    return 4 if streams <= 256 else 1


def affordable_lanes(cost: Tensor, most: int) -> Tensor:
    """Return the number of lanes of streams of these costs: powers of two, at most `most`."""
    size = cost >> (COST_BITS + 3)
    least = 1 + (size >= BYTES_OF_TWO).long()
    affordable = torch.maximum(size // BYTES_PER_LANE, least).clamp(max=min(most, MAX_LANES))
    # The power of two that is not above it, by comparisons.
    lanes = torch.ones_like(affordable)
    for k in range(1, MAX_LANES.bit_length()):
        lanes += (affordable >= 1 << k).long() << (k - 1)
    return lanes.int()


def check_contexts(channels: int, first_context: int, contexts: int) -> None:
    """Raise ValueError if a group has contexts without curves: a kernel would write elsewhere."""
    if not (channels > 0 <= first_context and first_context + channels <= contexts):
        raise ValueError(f"contexts {first_context} to {first_context + channels} of {contexts}")


def stream_of(states: Sequence[int], escapes: Sequence[int], words: np.ndarray, calibrated: bool) -> bytes:
    """Return the bytes of a stream (docs/format.md, section 5)."""
    values = [state - LOWER_BOUND for state in states]
    if not (calibrated or any(values) or len(words) or escapes):
        return b""
    width = (max(values).bit_length() + 7) // 8
    head = bytes([(len(states) - 1).bit_length() | 8 * bool(escapes) | width << 4 | calibrated << 7])
    varints = b"".join(map(varint, escapes))
    if varints:
        head += varint(len(varints)) + varints
    head += b"".join(value.to_bytes(4, "little")[:width] for value in values)
    return head + words.astype("<i2").tobytes()


def varint(value: int) -> bytes:
    """Return a number in base 128, the lowest digits first."""
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])
