"""The trainings as commands that need nothing but torch: `python -m lic_native.training jpeg --data ...`.

They are those of `lic-native train`, for a machine without its other dependencies.
"""

from __future__ import annotations

import argparse
import inspect
from dataclasses import fields
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

from . import Options, train_image, train_jpeg


def main(arguments: list[str] | None = None) -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(prog="python -m lic_native.training", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    trainings: dict[str, Any] = {"jpeg": train_jpeg, "image": train_image}
    names = [field.name for field in fields(Options) if field.init]
    names_of_torch = {"torch": SimpleNamespace(device=str)}
    for name, train in trainings.items():
        own = list(inspect.signature(train).parameters)[1:]
        command = commands.add_parser(name, help=train.__doc__.partition("\n")[0], argument_default=argparse.SUPPRESS)
        hints = get_type_hints(Options, localns=names_of_torch) | get_type_hints(train, localns=names_of_torch)
        for option in (*names, *own):
            add_option(command, option, hints[option], required=option in ("data", "out"))
    chosen = vars(parser.parse_args(arguments))
    train = trainings[chosen.pop("command")]
    train(Options(**{name: chosen.pop(name) for name in names if name in chosen}), **chosen)


def add_option(command: argparse.ArgumentParser, name: str, hint: Any, required: bool) -> None:
    """Add an option of a type: a number, a text, yes or no, several numbers, or any of these or None."""
    kind = next((part for part in get_args(hint) if part in (int, float, bool, str)), hint)
    several = next((part for part in get_args(hint) if get_args(part)), None)
    how: dict[str, Any] = {"type": kind}
    if kind is bool:
        how = {"action": argparse.BooleanOptionalAction}
    elif several is not None and get_args(several)[0] is int:
        how = {"type": int, "nargs": len(get_args(several))}
    command.add_argument("--" + name.replace("_", "-"), required=required, **how)


if __name__ == "__main__":
    main()
