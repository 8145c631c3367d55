"""Lepton, by the package lepton-jpeg-python."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module, metadata
from importlib.util import find_spec

from ..engine import Codec

__all__ = ["jpeg_codecs"]


def jpeg_codecs() -> Iterator[Codec[bytes]]:
    if find_spec("lepton_jpeg_python"):
        lepton = import_module("lepton_jpeg_python")
        version = metadata.version("lepton_jpeg_python")
        yield Codec(f"Lepton {version}", lepton.compress_bytes, lepton.decompress_bytes)
