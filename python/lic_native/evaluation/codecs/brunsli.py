"""brunsli, by the library inside the package imagecodecs, or else by its commands."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from ..engine import Codec
from .programs import find_program, through_files

__all__ = ["by_commands", "by_library", "jpeg_codecs"]


def jpeg_codecs() -> Iterator[Codec[bytes]]:
    if codec := by_library() or by_commands():
        yield codec


def by_library() -> Codec[bytes] | None:
    """Return brunsli by its library, or None.

    Wheels of imagecodecs contain it up to version 2025.3.30. Their own `brunsli_decode` returns pixels only.
    """
    if not find_spec("imagecodecs"):
        return None
    halves = {}
    for file in metadata.files("imagecodecs") or []:
        for half in ("enc", "dec"):
            if file.name.startswith(f"libbrunsli{half}-c"):
                halves[half] = ctypes.CDLL(str(file.locate()))
    if len(halves) < 2:
        return None
    return Codec("brunsli", _through_sink(halves["enc"].EncodeBrunsli), _through_sink(halves["dec"].DecodeBrunsli))


def by_commands() -> Codec[bytes] | None:
    encoder, decoder = find_program("cbrunsli"), find_program("dbrunsli")
    if not encoder or not decoder:
        return None
    return Codec(
        "brunsli",
        through_files([encoder, "x.jpg", "x.brn"], "x.jpg", "x.brn"),
        through_files([decoder, "x.brn", "x.jpg"], "x.brn", "x.jpg"),
    )


#: The callback that takes the output of brunsli's functions: (context, bytes, size) -> size taken.
_Sink = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


def _through_sink(function: Any) -> Callable[[bytes], bytes]:
    """Return a function of bytes that calls a C function of brunsli."""
    function.argtypes = [ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p, _Sink]

    def convert(data: bytes) -> bytes:
        out = bytearray()

        def take(_: int | None, address: int, size: int) -> int:
            out.extend(ctypes.string_at(address, size))
            return size

        if function(len(data), data, None, _Sink(take)) != 1:
            raise ValueError("brunsli refuses the data")
        return bytes(out)

    return convert
