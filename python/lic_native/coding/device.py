"""Walks whose symbols are coded on the device of the network: nothing leaves it between the first step and the last."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from .. import threads
from ..cuda.graphs import Program, Programs, empty_cache, fetch
from ..cuda.mixtures import MixtureDecoder, MixtureEncoder
from ..nn.ambient import known_state
from .coder import LANES, Params, SymbolCoder
from .mixture import Mixture, to_params

__all__ = ["DeviceDecoder", "DeviceEncoder", "Walk", "Walks"]

#: A walk of a network: takes a coder, what is equal for all pictures of the batch, inputs, and symbols or None; returns
#: the symbols. Tensors have the batch as their first axis. It must not read a value back from the device.
Walk = Callable[[SymbolCoder, Any, list[Tensor], "list[Tensor] | None"], list[Tensor]]


class DeviceEncoder:
    """Puts every group of symbols into streams, as `coder.StreamEncoder` does."""

    def __init__(self, encoder: MixtureEncoder) -> None:
        self.native = encoder

    def code(self, params: Params, symbols: Tensor | None) -> Tensor:
        if symbols is None:
            raise ValueError("an encoder needs symbols; a DeviceDecoder finds them")
        threads.check()
        mixture = _mixture(params)
        self.native.put(to_params(mixture), symbols, params.shape[-1], mixture.first_context)
        return symbols


class DeviceDecoder:
    """Takes every group of symbols from streams, as `coder.StreamDecoder` does; damage is told at the end."""

    def __init__(self, decoder: MixtureDecoder) -> None:
        self.native = decoder

    def code(self, params: Params, symbols: Tensor | None) -> Tensor:
        if symbols is not None:
            raise ValueError("a decoder takes no symbols; it finds them in its streams")
        threads.check()
        mixture = _mixture(params)
        return self.native.get(to_params(mixture), params.shape[-1], mixture.first_context)


def _mixture(params: Params) -> Mixture:
    if not isinstance(params, Mixture):
        raise TypeError(f"the coder on a device takes mixtures, not {type(params).__name__}")
    return params


class Walks:
    """Codes batches of pictures by walks of a network, which are kept as CUDA graphs.

    Symbols are integers, int16 outside. What is given and returned is on the CPU.

    walk: of the network.
    contexts: of all groups (`Mixture.first_context`).
    """

    def __init__(self, walk: Walk, contexts: int, device: torch.device, programs: Programs | None = None) -> None:
        self._walk, self._contexts, self._device = walk, contexts, device
        self._programs = programs or Programs(device)

    def encode(self, kind: Hashable, inputs: Sequence[Tensor], symbols: Sequence[Tensor]) -> list[bytes]:
        """Return the stream of each picture. kind: what is equal for all pictures, their shape above all."""
        given, count = [*inputs, *symbols], len(inputs)
        batch = len(given[0])

        def make() -> Program[Any, Any]:
            places = [torch.empty_like(x, device=self._device) for x in given]
            coder = DeviceEncoder(MixtureEncoder(batch, self._contexts, self._device))

            def work() -> Any:
                coder.native.start()
                self._walk(coder, kind, places[:count], [x.float() for x in places[count:]])
                return coder.native.finish(LANES)

            return Program(places, work)

        with self._state(), self._programs.lock:
            key = ("encode", kind, tuple(x.shape for x in given))
            coded = self._programs.run(key, make, lambda places: _copy(places, given))
            streams: list[bytes] = coded.streams()
            return streams

    def decode(
        self, kind: Hashable, inputs: Sequence[Tensor], streams: Sequence[bytes]
    ) -> tuple[list[Tensor], list[bool]]:
        """Return the symbols that `encode` got, and for each picture whether its stream is good: else they are not."""
        needed, lanes = MixtureDecoder.needs(streams)
        # Graphs are kept for few sizes, not for every one.
        room, batch = 1 << max(needed, 1 << 12).bit_length(), len(streams)

        def make() -> Program[Any, Any]:
            places = [torch.empty_like(x, device=self._device) for x in inputs]
            coder = DeviceDecoder(MixtureDecoder(batch, room, self._contexts, lanes, self._device))

            def work() -> list[Tensor]:
                coder.native.start()
                symbols = self._walk(coder, kind, places, None)
                # Converting to 16 bits on the device halves what it has to send.
                return [*(x.short() for x in symbols), coder.native.good()]

            return Program((places, coder.native), work)

        def fill(filled: tuple[list[Tensor], MixtureDecoder]) -> None:
            _copy(filled[0], inputs)
            filled[1].load(streams)

        with self._state():
            with self._programs.lock:
                key = ("decode", kind, batch, room, lanes)
                fetched, wait = fetch(self._programs.run(key, make, fill))
            wait()
            *symbols, good = fetched
            return symbols, good.tolist()

    @contextmanager
    def _state(self) -> Iterator[None]:
        # Triton and graphs work on the current device.
        on_device = torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext()
        with known_state(), torch.inference_mode(), on_device:
            yield

    def release(self) -> None:
        """Give back the memory that kept walks take."""
        with self._programs.lock:
            self._programs.clear()
        empty_cache()


def _copy(places: Sequence[Tensor], given: Sequence[Tensor]) -> None:
    for place, tensor in zip(places, given, strict=True):
        # From memory that the device can read by itself, the copy takes no time of this thread.
        place.copy_(tensor.pin_memory() if place.is_cuda and not tensor.is_cuda else tensor, non_blocking=True)
