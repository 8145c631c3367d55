"""Weights in 16 bits, in parts that are small enough to travel: what a run leaves at each validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..errors import CorruptError
from ..models.base import Model
from ..models.bls2017 import Bls2017
from ..models.mlcc import Mlcc
from ..models.msp import Msp

__all__ = ["PART_BYTES", "load", "read_checkpoint", "save"]

#: Largest size of a part, and what of it is left for names and headers.
PART_BYTES, MARGIN = 15 << 20, 1 << 19


def save(folder: str | Path, name: str, model: Model, **notes: int) -> list[Path]:
    """Write a model in training as `average-0.pt`, `average-1.pt` and so on, each below `PART_BYTES`.

    Parameters are rounded to float16, which keeps 11 bits of each; tables and ranges stay as they are.

    Args:
        folder: for the parts; older ones are replaced.
        name: of the model, as the export will have it.
        model: any but a frozen one.
        notes: on the training, steps so far among them, by which the parts of one model know each other.

    Returns:
        The parts.
    """
    learned = {name for name, _ in model.named_parameters()}
    parts: list[dict[str, Any]] = [{}]
    size = 0
    for key, value in model.state_dict().items():
        value = (value.half() if key in learned else value).cpu().contiguous()
        size += value.nbytes
        if size > PART_BYTES - MARGIN and parts[-1]:
            parts.append({})
            size = value.nbytes
        # A copy, because a view is saved with all that it is a view of.
        parts[-1][key] = value.clone()
    about = {"name": name, "config": model.config.to_json(), "notes": notes, "parts": len(parts)}
    paths = [Path(folder) / f"average-{i}.pt" for i in range(len(parts))]
    for part, path in zip(parts, paths):
        torch.save({**about, "tensors": part}, path.with_suffix(".tmp"))
    # Only now, and at once, so that a run that is cut hardly leaves parts of two validations.
    for path in paths:
        path.with_suffix(".tmp").replace(path)
    for old in set(Path(folder).glob("average-*.pt")) - set(paths):
        old.unlink()
    return paths


def load(folder: str | Path) -> tuple[str, Any, dict[str, int]]:
    """Return the name, the model, on the CPU and as trainable as it was, and the notes of what `save` wrote.

    Raises:
        FileNotFoundError: there are no parts in the folder.
        CorruptError: a part can't be read, or they do not belong together.
    """
    paths = sorted(Path(folder).glob("average-*.pt"))
    if not paths:
        raise FileNotFoundError(f"no average-*.pt, the parts that a training writes, in {folder}")
    parts = [read_checkpoint(path, "cpu") for path in paths]
    try:
        tensors = {key: value for part in parts for key, value in part.pop("tensors").items()}
        if any(part != {**parts[0], "parts": len(parts)} for part in parts):
            raise ValueError("they are not the parts of one model")
        name = parts[0]["name"]
        kind: type[Model] = {"mlcc": Mlcc, "bls2017": Bls2017}.get(name, Msp)
        model = kind(kind.CONFIG.from_json(parts[0]["config"]))
        model.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CorruptError(f"the average-*.pt in {folder} can't be read: {str(error).splitlines()[0]}") from error
    return name, model, parts[0]["notes"]


def read_checkpoint(path: Path, device: str) -> dict[str, Any]:
    """Return the contents of a checkpoint. Raises CorruptError, which names it, if it can't be read."""
    try:
        saved: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # whatever torch raises for a damaged file
        raise CorruptError(f"{path} can't be read: {str(error).splitlines()[0]}") from error
    return saved
