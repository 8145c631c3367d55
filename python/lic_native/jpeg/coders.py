"""The picture coders: each turns the coefficients of a JPEG picture into bytes and back."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .. import _native, threads
from ..arguments import Device
from ..errors import CorruptError, LicError, UnsupportedError
from ..models import registry
from ..observe import stage
from ..threads import share
from .network import NetworkCoder
from .tiles import Area, block_count, parts

__all__ = ["Coded", "ContextCoder", "PictureCoder", "coders_for", "decode", "encode_shortest"]

#: A picture in a file: its coder's number and fingerprint, and the coded coefficients.
Coded = tuple[int, int, bytes]
#: Pictures of at most this many blocks are icons, too small for a network.
ICON = 64
#: Coded bits per block below which a picture is nearly blank. A network takes as long for a blank block as for any
#: other, and has nothing to gain there.
BLANK_BITS = 2
#: Threads of the context coder on one picture. Each takes some 14 MB: with four, 33 megapixels of 4:2:0 fit 200 MB.
CONTEXT_THREADS = 4


class PictureCoder(Protocol):
    """A coder of the coefficients of one picture.

    on_gpu: whether a GPU does most of the work.
    """

    on_gpu: bool

    @property
    def name(self) -> str:
        """The name in `models.registry`."""
        ...

    @property
    def number(self) -> int:
        """The number in `models.registry`, which files refer to."""
        ...

    def fingerprint(self) -> int:
        """Return a 32-bit hash of everything encoder and decoder must share: weights, tables, configuration."""
        ...

    def encode(
        self, frame: _native.Frame, planes: list[np.ndarray], threads: int = 0
    ) -> tuple[bytes, list[np.ndarray]]:
        """Return the coefficients as bytes, and the coefficients decoded from them.

        threads: number of threads that share the work; 0 means as many as the process may use, up to a limit of memory.
        """
        ...

    def decode(self, frame: _native.Frame, data: bytes, threads: int = 0, area: Area | None = None) -> list[np.ndarray]:
        """Return the coefficients, or those of an area at least; what is not decoded is 0.

        Raises CorruptError or TruncatedError if the bytes do not fit the frame.
        """
        ...


class ContextCoder:
    """The adaptive context model of the profile `native`, written in Rust.

    steps: whether coefficients are divided by the frame's steps, for pictures whose last scans are missing.
    """

    on_gpu = False

    def __init__(self, steps: bool = False) -> None:
        self.steps = steps

    @property
    def name(self) -> str:
        """The registered name."""
        return registry.NATIVE_STEPS if self.steps else registry.NATIVE

    @property
    def number(self) -> int:
        """The registered number."""
        return registry.NUMBERS[self.name]

    def fingerprint(self) -> int:
        """Return the hash of the model's initial statistics."""
        return _native.context_fingerprint()

    def encode(
        self, frame: _native.Frame, planes: list[np.ndarray], threads: int = 0
    ) -> tuple[bytes, list[np.ndarray]]:
        """Return the coefficients as bytes, and `planes`: Rust decodes the bytes and compares."""
        with stage("coder"):
            return _native.context_encode(frame, planes, context_threads(threads), self.steps), planes

    def decode(self, frame: _native.Frame, data: bytes, threads: int = 0, area: Area | None = None) -> list[np.ndarray]:
        """Return the coefficients, as `PictureCoder` does. Bands are as wide as the picture."""
        rows = None if area is None else (area.top, area.bottom)
        with stage("coder"):
            return _native.context_decode(frame, data, context_threads(threads), self.steps, rows)


def context_threads(wanted: int = 0) -> int:
    """Return the number of threads of the context coder on one picture; 0 means as many as the process may use."""
    return min(threads.resolve(wanted), CONTEXT_THREADS)


def coders_for(frame: _native.Frame, profile: str | None, device: Device) -> list[PictureCoder]:
    """Return the coders to try on a picture, whose shortest result counts.

    The context coder takes a tenth of a network's time and beats it on some pictures. It is alone for pictures that no
    network is trained for (CMYK, odd samplings, other precisions), and for icons.
    """
    coders: list[PictureCoder] = [ContextCoder(steps=any(c.steps for c in frame.components))]
    name = registry.of_profile(profile, device)
    if name != registry.NATIVE and block_count(frame) > ICON and frame.precision == 8 and len(parts(frame)) == 1:
        coders.append(NetworkCoder(name, device))
    return coders


def encode_shortest(
    frame: _native.Frame, planes: list[np.ndarray], profile: str | None, device: Device, threads: int
) -> tuple[Coded, list[np.ndarray]]:
    """Return the shortest result of the picture's coders, and the coefficients decoded from it.

    Raises:
        CorruptError: no coder restores the coefficients.
    """

    def tried(coder: PictureCoder) -> tuple[Coded, list[np.ndarray]] | None:
        try:
            data, decoded = coder.encode(frame, planes, threads)
        except LicError:
            return None
        right = decoded is planes or all(map(np.array_equal, decoded, planes))
        return ((coder.number, coder.fingerprint(), data), decoded) if right else None

    coders = coders_for(frame, profile, device)
    if any(coder.on_gpu for coder in coders):
        # The processor has nothing else to do meanwhile.
        outcomes = share(tried, coders, len(coders))
    else:
        outcomes = [tried(coders[0])]
        blank = outcomes[0] is not None and 8 * len(outcomes[0][0][2]) < BLANK_BITS * block_count(frame)
        outcomes += [] if blank else map(tried, coders[1:])
    results = [outcome for outcome in outcomes if outcome is not None]
    if not results:
        raise CorruptError("no coder restores the coefficients")
    return min(results, key=lambda result: len(result[0][2]))


def decode(
    frame: _native.Frame, coded: Coded, device: Device, threads: int, area: Area | None = None
) -> list[np.ndarray]:
    """Return the coefficients of a picture, or those of an area at least; what is not decoded is 0.

    Raises:
        CorruptError, TruncatedError: the bytes do not fit the frame.
        UnknownModelError, UnsupportedError: this release has no such coder for JPEG files, or CUDA needs torch.
        WeightsMismatchError: this release has other weights for the coder.
    """
    number, fingerprint, data = coded
    coder = _coder_of_number(number, device)
    registry.check_weights(coder.name, coder.fingerprint(), fingerprint)
    return coder.decode(frame, data, threads, area)


def _coder_of_number(number: int, device: Device) -> PictureCoder:
    name = registry.model_name(number)
    if name in (registry.NATIVE, registry.NATIVE_STEPS):
        return ContextCoder(steps=name == registry.NATIVE_STEPS)
    if name not in registry.PROFILES.values():
        raise UnsupportedError(f"model {name} is not for JPEG files")
    return NetworkCoder(name, device)
