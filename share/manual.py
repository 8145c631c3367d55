"""Write the manual page and the shell completions of `lic-native` into a folder: python share/manual.py FOLDER.

Both are made from the command's own help texts.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import typer

from lic_native import __version__
from lic_native.cli import app

#: Names of the files of completions, by shell, as each shell expects them.
COMPLETIONS = {"bash": "lic-native", "zsh": "_lic-native", "fish": "lic-native.fish"}


def commands(command: Any, name: str = "lic-native") -> Iterator[tuple[str, Any]]:
    """Yield each command with its full name, those inside groups too."""
    children = getattr(command, "commands", {})
    if not children:
        yield name, command
    for child_name, child in children.items():
        yield from commands(child, f"{name} {child_name}")


def spelling(option: Any) -> str:
    """Return how an argument or option is written, with the name of its value."""
    longest = max(option.opts, key=len)
    value = option.metavar or longest.lstrip("-").upper()
    if not longest.startswith("-"):
        return str(value)
    names = " / ".join(", ".join(sorted(names, key=len)) for names in (option.opts, option.secondary_opts) if names)
    return names if option.is_flag else f"{names} {value}"


def meaning(option: Any) -> str:
    """Return an option's help text, with its default."""
    text = " ".join((option.help or "").split())
    if option.show_default is True and not getattr(option, "is_flag", True) and option.default is not None:
        text += f" [default: {option.default}]"
    return text


def roff(text: str) -> str:
    """Return text in which nothing is a command of roff."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def paragraphs(text: str) -> Iterator[str]:
    """Yield the lines of a help text as roff: its examples, which begin with a backspace, as they are."""
    for block in re.split(r"\n\n+", text.strip()):
        if block.startswith("\b"):
            lines = [line.strip() for line in block.splitlines()[1:]]
            yield from (".PP", ".nf", *map(roff, lines), ".fi")
        else:
            yield from (".PP", roff(" ".join(block.split())))


def page() -> str:
    """Return the manual page, for man(7)."""
    program = typer.main.get_command(app)
    lines = [f'.TH LIC\\-NATIVE 1 "" "lic-native {__version__}" "User Commands"', ".SH NAME"]
    first, *rest = re.split(r"\n\n+", (program.help or "").strip(), maxsplit=1)
    summary = " ".join(first.split()).rstrip(".")
    lines += [roff("lic-native - ") + roff(summary[0].lower() + summary[1:]), ".SH SYNOPSIS"]
    lines += [".B lic\\-native", ".I COMMAND", "[options] ..."]
    lines += [".SH DESCRIPTION", *(line for text in rest for line in paragraphs(text))]
    lines += [".SH COMMANDS"]
    for name, command in commands(program):
        arguments = " ".join(spelling(option) for option in command.params if not option.opts[0].startswith("-"))
        lines += [".SS " + roff(f"{name} [options] {arguments}".strip()), *paragraphs(command.help or "")]
        for option in command.params:
            lines += [".TP", ".B " + roff(spelling(option)), roff(meaning(option))]
    lines += [".SH EXIT STATUS", *paragraphs(program.epilog or "")]
    return "\n".join(lines) + "\n"


def completion(shell: str) -> str:
    """Return the script with which a shell asks the program for completions."""
    # Typer prints it for the variable that its scripts set to "complete_SHELL".
    script, variable = io.StringIO(), "_LIC_NATIVE_COMPLETE"
    os.environ[variable] = f"source_{shell}"
    try:
        with redirect_stdout(script), suppress(SystemExit):
            app(prog_name="lic-native")
    finally:
        del os.environ[variable]
    return script.getvalue()


def write(folder: Path) -> None:
    """Write all files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lic-native.1").write_text(page())
    for shell, name in COMPLETIONS.items():
        (folder / f"{shell}-{name}").write_text(completion(shell))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
