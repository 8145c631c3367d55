"""What the documents show is true: examples give what stands below them, links lead somewhere."""

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def documents(containing: str) -> pytest.MarkDecorator:
    found = [path for path in DOCUMENTS if containing in path.read_text()]
    return pytest.mark.parametrize("path", found, ids=lambda path: path.name)


@documents(">>> ")
def test_examples(path, photo, tmp_path, monkeypatch):
    (tmp_path / "photo.jpg").write_bytes(photo)
    monkeypatch.chdir(tmp_path)
    examples = doctest.DocTestParser().get_doctest(path.read_text().replace("```", ""), {}, path.name, str(path), 0)
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples).failed == 0


@documents("](")
def test_links(path):
    for file, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", path.read_text()):
        target = path.parent / file if file else path
        assert target.exists(), file
        if not anchor:
            continue
        headings = re.findall(r"^#+ (.*)", target.read_text(), re.MULTILINE)
        anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
        assert anchor in anchors, anchor


def test_the_commands_of_readme_can_be_pasted_in_order(tmp_path):
    """Those that call lic-native, in a folder as a checkout is."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if re.match("lic-native|cp ", line)]
    assert len(lines) > 8
    (tmp_path / "tests/data").mkdir(parents=True)
    shutil.copy(ROOT / "tests/data/grace_hopper.jpg", tmp_path / "tests/data")
    script = "\n".join(["set -eu", f'lic-native() {{ "{sys.executable}" -m lic_native "$@"; }}', *lines])
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "restored.jpg").read_bytes() == (tmp_path / "photo.jpg").read_bytes()
