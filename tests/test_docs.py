"""Check that documents are true: examples print what follows them, commands run, links lead somewhere.

`python tests/test_docs.py` writes the documents that are generated: the page of commands and the README's chart.
"""

import doctest
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from lic_native.cli import app

ROOT = Path(__file__).parents[1]
MANUAL = runpy.run_path(str(ROOT / "share/manual.py"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
#: Lines of shell examples that run in the test: not those that build, measure or train.
RUNNABLE = re.compile(r"lic-native (compress|decompress|test|list|inspect|--version)\b|cp ")

CLI_HEAD = """# Command line

This page is made from the help texts of the program; `lic-native COMMAND --help` prints the same.

| exit status | meaning |
|---|---|
| 0 | everything was done, now or before |
| 1 | files failed: a line names each, and the others were done |
| 2 | the command was used wrongly, and nothing was done |
| 128 and the number of a signal | the command was stopped, for example 130 by Ctrl-C |
"""


def documents(containing: str) -> pytest.MarkDecorator:
    found = [path for path in DOCUMENTS if re.search(containing, path.read_text(), re.MULTILINE)]
    return pytest.mark.parametrize("path", found, ids=lambda path: str(path.relative_to(ROOT)))


@documents("^>>> ")
def test_examples(path, photo, tmp_path, monkeypatch):
    (tmp_path / "photo.jpg").write_bytes(photo)
    monkeypatch.chdir(tmp_path)
    examples = doctest.DocTestParser().get_doctest(path.read_text().replace("```", ""), {}, path.name, str(path), 0)
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples).failed == 0


@documents(r"\]\(")
def test_links(path):
    for file, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", path.read_text()):
        target = path.parent / file if file else path
        assert target.exists(), file
        if not anchor:
            continue
        headings = re.findall(r"^#+ (.*)", target.read_text(), re.MULTILINE)
        anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
        assert anchor in anchors, anchor


@documents("`[a-z_]+/")
def test_named_files_exist(path):
    """From the root, or from either source folder. Capitals stand for any name."""
    for name in re.findall(r"`((?:[a-z_0-9]+/)+[a-z_0-9.]*)`", path.read_text()):
        if not name.startswith("runs/"):
            roots = (ROOT, ROOT / "python/lic_native", ROOT / "rust/src")
            assert any((root / name).exists() for root in roots), name


@documents(r"(^|`)make [a-z]")
def test_named_make_targets_exist(path):
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"(?:^|`)make ([a-z0-9-]+)", path.read_text(), re.MULTILINE):
        assert target in targets, target


def test_every_page_is_reachable_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        if (path := waiting.pop().resolve()) not in reached and path.suffix == ".md":
            reached.add(path)
            waiting += [path.parent / file for file in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())]
    assert not set(DOCUMENTS) - reached


@documents(rf"^({RUNNABLE.pattern})")
def test_commands_can_be_pasted_in_order(path, tmp_path):
    """In a folder like a checkout."""
    blocks = re.findall(r"^```sh\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if RUNNABLE.match(line)]
    (tmp_path / "tests/data").mkdir(parents=True)
    shutil.copy(ROOT / "tests/data/grace_hopper.jpg", tmp_path / "tests/data")
    script = "\n".join(["set -eu", f'lic-native() {{ "{sys.executable}" -m lic_native "$@"; }}', *lines])
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if "restored.jpg" in script:
        assert (tmp_path / "restored.jpg").read_bytes() == (tmp_path / "photo.jpg").read_bytes()


def paragraphs(text: str) -> str:
    """Return a help text as Markdown: its examples, which begin with a form feed or backspace, as code."""
    parts = []
    for block in re.split(r"\n\n+", text.strip()):
        if block.startswith("\b"):
            lines = block.splitlines()[1:]
            title = f"{lines.pop(0)}\n\n" if lines[0].endswith(":") else ""
            parts.append(title + "```text\n" + "\n".join(line.strip() for line in lines) + "\n```")
        else:
            parts.append(" ".join(block.split()))
    return "\n\n".join(parts)


def section(name: str, command: Any) -> str:
    """Return the section of one command: its help, and a table of its arguments and options."""
    lines = [f"## {name}", "", paragraphs(command.help), "", "| option | meaning |", "|---|---|"]
    for option in command.params:
        meaning = MANUAL["meaning"](option).replace("|", "\\|")
        lines.append(f"| `{MANUAL['spelling'](option)}` | {meaning} |")
    return "\n".join(lines)


def cli_page() -> str:
    return CLI_HEAD + "".join(f"\n{section(*each)}\n" for each in MANUAL["commands"](typer.main.get_command(app)))


GENERATED = {"docs/cli.md": cli_page, "docs/results/jpeg.svg": runpy.run_path(str(ROOT / "benches/chart.py"))["draw"]}


@pytest.mark.parametrize("name", GENERATED)
def test_generated_documents_are_current(name):
    """Else `python tests/test_docs.py` writes them."""
    assert (ROOT / name).read_text() == GENERATED[name]()


if __name__ == "__main__":
    for name, make in GENERATED.items():
        (ROOT / name).write_text(make())
