"""Whether the coder on a device works: whether Triton is there, and makes what Rust makes."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

import numpy as np
import torch

from .. import _native

__all__ = ["try_messages", "try_mixtures", "works"]

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_found: dict[tuple[torch.device, str], bool] = {}


def works(device: torch.device, what: str = "mixtures") -> bool:
    """Return whether `mixtures` or `messages` can be coded on a device; the first call tries it.

    If not, though it is a CUDA device, a warning says why, once. `LIC_TRITON=0` in the environment forbids it.
    """
    if device.type != "cuda" or os.environ.get("LIC_TRITON") == "0":
        return False
    with _lock:
        if (device, what) not in _found:
            _found[device, what] = _try(device, try_messages if what == "messages" else try_mixtures)
        return _found[device, what]


def _try(device: torch.device, trial: Callable[[torch.device], str | None]) -> bool:
    try:
        # Triton launches on the current device.
        with torch.cuda.device(device):
            problem = trial(device)
    except Exception as error:  # Triton is missing, finds no compiler, or the driver refuses what it makes
        problem = f"{type(error).__name__}: {error}"
    if problem is not None:
        _log.warning("the entropy coder runs on the CPU, since that on %s does not work: %s", device, problem[:500])
    return problem is None


def try_mixtures(device: torch.device, size: tuple[int, int] = (3, 43)) -> str | None:
    """Encode and decode two streams with escapes; return what is wrong, if anything. size: elements and channels."""
    from .mixtures import MixtureDecoder, MixtureEncoder

    random, shape, channels = np.random.default_rng(0), (2, *size), size[1]
    params = np.empty((*shape, 5), np.int16)
    params[..., :2] = random.integers(-200, 200, (*shape, 1)) + random.integers(-30, 30, (*shape, 2))
    params[..., 2:4], params[..., 4] = random.integers(10, 90, (*shape, 2)), random.integers(0, 128, shape)
    spread = 2.0 ** ((params[..., 2] - 48) / 8) * random.choice([0.5, 1, 30], shape)
    symbols = (params[..., 0] / 16 + random.logistic(0, 1, shape) * spread).round().astype(np.int16)
    contexts, expected = np.arange(5, 5 + channels, dtype=np.uint16), []
    for picture, own in zip(symbols, params):
        encoder = _native.Encoder(8, True)
        for _ in range(2):
            encoder.put(picture, _native.Model.mixtures(own), (contexts, 1))
        expected.append(encoder.finish())
    coder, given = MixtureEncoder(2, 5 + channels, device), torch.from_numpy(params).to(device)
    coder.start()
    for _ in range(2):
        coder.put(given, torch.from_numpy(symbols).to(device), channels, 5)
    if coder.finish(8).streams() != expected:
        return "it encodes something else than Rust"
    room, lanes = MixtureDecoder.needs(expected)
    decoder = MixtureDecoder(2, room, 5 + channels, lanes, device)
    decoder.load(expected)
    decoder.start()
    decoded = [decoder.get(given, channels, 5).cpu().short().numpy() for _ in range(2)]
    if not all(np.array_equal(part, symbols) for part in decoded) or not bool(decoder.good().all()):
        return "it decodes something else than Rust"
    return None


def try_messages(device: torch.device, size: int = 300) -> str | None:
    """Encode and decode messages with escapes; return what is wrong, if anything."""
    from . import messages

    random, tables = np.random.default_rng(0), _native.Tables.located("laplace")
    mean, scale = random.normal(0, 99, size), 2.0 ** random.uniform(-5, 10, size)
    mean[::3] = np.round(mean[::3] * 128) / 128
    rows, located = random.integers(0, len(tables), size), (mean.astype(np.float32), scale.astype(np.float32))
    given: list[messages.Located | messages.Rows] = [
        messages.Located("gaussian", *(torch.from_numpy(array).to(device) for array in located)),
        messages.Located("logistic", *(torch.from_numpy(array).to(device) for array in (mean, scale))),
        messages.Rows(tables, torch.from_numpy(rows).to(device)),
    ]
    models = [
        _native.Model.located("gaussian", size, *located),
        _native.Model.located("logistic", size, mean, scale),
        _native.Model.rows(tables, rows),
    ]
    symbols = (mean + random.normal(0, 1, size) * scale * random.choice([1, 40], size, p=[0.9, 0.1])).astype(np.int32)
    for parameters, model in zip(given, models, strict=True):
        expected = _native.message_encode(symbols, model, "int32", True, 1)
        if messages.encode(torch.from_numpy(symbols).to(device), parameters) != expected:
            return "it encodes something else than Rust"
        decoded = messages.decode(expected, None, parameters, "int32", size)
        if decoded is None or not np.array_equal(decoded.cpu().numpy(), symbols):
            return "it decodes something else than Rust"
    return None
