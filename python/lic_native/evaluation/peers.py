"""Programs that make JPEG files smaller without loss: ours, a codec for each profile, and the peers installed here."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from typing import Any

from .. import jpeg
from ..arguments import Device, to_device
from ..models import registry
from ..models.registry import JpegProfile

__all__ = [
    "Codec",
    "Sink",
    "brunsli_commands",
    "brunsli_library",
    "check_profiles",
    "codecs",
    "find_program",
    "ours",
    "peers",
    "through_files",
    "through_sink",
]


@dataclass(frozen=True)
class Codec:
    """A program that makes JPEG files smaller without loss. Refuses a file by raising anything."""

    name: str
    encode: Callable[[bytes], bytes]
    decode: Callable[[bytes], bytes]


def codecs(profiles: Sequence[str] = (), device: Device = None) -> list[Codec]:
    """lic_native with each of these profiles, or all that run here, and every peer that is installed.

    Raises as `check_profiles` does.
    """
    return [*map(partial(ours, device=device), check_profiles(profiles, device)), *peers()]


def check_profiles(profiles: Sequence[str] = (), device: Device = None) -> list[JpegProfile]:
    """Return the profiles that are measured: these, or all; where torch is not installed, those that need none.

    Raises:
        TypeError, ValueError: there is no such profile or device.
        UnsupportedError: a profile needs torch, which can't be loaded.
    """
    to_device(device)
    found: list[JpegProfile] = []
    for profile in profiles or registry.PROFILES:
        registry.check_profile(profile)
        if profile in registry.PROFILES and (profiles or profile == registry.NATIVE or find_spec("torch")):
            if profile != registry.NATIVE:
                registry.present_device(device, f"model {registry.of_profile(profile)}")
            found.append(profile)
    return found


def ours(profile: JpegProfile, device: Device = None) -> Codec:
    return Codec(
        f"lic_native {profile}",
        partial(jpeg.compress, profile=profile, device=device),
        partial(jpeg.decompress, device=device),
    )


def peers() -> Iterator[Codec]:
    """Those that are there: packages of Python, or commands on the PATH."""
    if find_spec("lepton_jpeg_python"):
        lepton = import_module("lepton_jpeg_python")
        version = metadata.version("lepton_jpeg_python")
        yield Codec(f"Lepton {version}", lepton.compress_bytes, lepton.decompress_bytes)
    if find_spec("imagecodecs") and (imagecodecs := import_module("imagecodecs")).JPEGXL.available:
        version = imagecodecs.jpegxl_version().split()[-1]
        yield Codec(f"JPEG XL {version}", imagecodecs.jpegxl_encode_jpeg, imagecodecs.jpegxl_decode_jpeg)
    if brunsli := brunsli_library() or brunsli_commands():
        yield brunsli
    if program := find_program("packJPG", "packjpg"):
        # It tells by the content which way to go, and names the result after the source. -np: it waits for no key.
        yield Codec(
            "packJPG",
            through_files([program, "-np", "x.jpg"], "x.jpg", "x.pjg"),
            through_files([program, "-np", "x.pjg"], "x.pjg", "x.jpg"),
        )
    if program := find_program("paq8px"):
        yield Codec(
            "paq8px -8",
            through_files([program, "-8", "x.jpg", "x.paq"], "x.jpg", "x.paq"),
            through_files([program, "-d", "x.paq", "x.jpg"], "x.paq", "x.jpg"),
        )


def brunsli_library() -> Codec | None:
    """The library that imagecodecs had in its wheels until 2025.3.30. Its own `brunsli_decode` gives pixels only."""
    if not find_spec("imagecodecs"):
        return None
    halves = {}
    for file in metadata.files("imagecodecs") or []:
        for half in ("enc", "dec"):
            if file.name.startswith(f"libbrunsli{half}-c"):
                halves[half] = ctypes.CDLL(str(file.locate()))
    if len(halves) < 2:
        return None
    return Codec("brunsli", through_sink(halves["enc"].EncodeBrunsli), through_sink(halves["dec"].DecodeBrunsli))


def brunsli_commands() -> Codec | None:
    encoder, decoder = find_program("cbrunsli"), find_program("dbrunsli")
    if not encoder or not decoder:
        return None
    return Codec(
        "brunsli",
        through_files([encoder, "x.jpg", "x.brn"], "x.jpg", "x.brn"),
        through_files([decoder, "x.brn", "x.jpg"], "x.brn", "x.jpg"),
    )


#: What the C functions of brunsli hand their output to: (context, bytes, how many) -> how many were taken.
Sink = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


def through_sink(function: Any) -> Callable[[bytes], bytes]:
    """A C function of brunsli as one of bytes."""
    function.argtypes = [ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p, Sink]

    def convert(data: bytes) -> bytes:
        out = bytearray()

        def take(_: int | None, piece: int, size: int) -> int:
            out.extend(ctypes.string_at(piece, size))
            return size

        if function(len(data), data, None, Sink(take)) != 1:
            raise ValueError("brunsli refuses it")
        return bytes(out)

    return convert


def find_program(*names: str) -> str | None:
    """The first of these commands that the PATH leads to."""
    found = next(filter(None, map(which, names)), None)
    return found and str(Path(found).absolute())


def through_files(command: list[str], source: str, target: str) -> Callable[[bytes], bytes]:
    """A command that makes one file of another in its folder, as a function of bytes. It takes a process each time."""

    def convert(data: bytes) -> bytes:
        with TemporaryDirectory() as folder:
            Path(folder, source).write_bytes(data)
            subprocess.run(command, cwd=folder, check=True, stdin=subprocess.DEVNULL, capture_output=True)
            return Path(folder, target).read_bytes()

    return convert
