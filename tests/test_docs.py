"""What the documents show is true: examples give what stands below them, links lead somewhere."""

import doctest
import re
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
