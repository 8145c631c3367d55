"""What the table of a job says: sums, saving by camera and quality, failures by reason; as text and as a page."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from .table import Row

__all__ = ["Group", "Summary", "page", "summarise", "text"]

#: Cameras, reasons and hours that are shown; the others are put together.
MAX_LINES = 20
OTHERS = "others"


@dataclass
class Group:
    """Sums of some rows: numbers, and bytes before and after."""

    name: str
    files: int = 0
    before: int = 0
    after: int = 0
    seconds: float = 0.0

    def add(self, files: int, before: int, after: int, seconds: float) -> None:
        self.files, self.before, self.after = self.files + files, self.before + before, self.after + after
        self.seconds += seconds

    @property
    def saving_percent(self) -> float:
        return 100 * (1 - self.after / self.before) if self.before else 0.0

    @property
    def megabytes_per_second(self) -> float:
        """Return the speed of one worker."""
        return self.before / 1e6 / self.seconds if self.seconds else 0.0


@dataclass
class Summary:
    """What a table says.

    statuses: numbers of keys by status. originals: numbers of the done ones by what became of their originals.
    audited: number of the done ones that another process has restored.
    cameras, qualities, models: sums of the done ones. failures: numbers of keys by reason.
    """

    total: Group
    statuses: dict[str, int] = field(default_factory=dict)
    originals: dict[str, int] = field(default_factory=dict)
    audited: int = 0
    cameras: list[Group] = field(default_factory=list)
    qualities: list[Group] = field(default_factory=list)
    models: list[Group] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)


def summarise(rows: Iterable[Row]) -> Summary:
    """Return what rows of a table say."""
    rows = list(rows)
    done = [row for row in rows if row.status == "done"]
    summary = Summary(_group("all", done))
    summary.statuses = _counts(row.status for row in rows)
    summary.originals = _counts(row.original for row in done)
    summary.audited = sum(row.audited > 0 for row in done)
    summary.cameras = _groups(done, lambda row: row.camera or "unknown")
    summary.qualities = sorted(_groups(done, _quality), key=lambda group: group.name)
    summary.models = _groups(done, lambda row: row.model)
    summary.failures = _counts(f"{row.failure}: {row.reason}" for row in rows if row.failure)
    return summary


def _counts(names: Iterable[str]) -> dict[str, int]:
    """Return how often each name occurs, the most frequent first."""
    return dict(Counter(names).most_common())


def _quality(row: Row) -> str:
    if row.quality is None:
        return "unknown"
    first = row.quality // 5 * 5
    return f"{first:2}-{min(first + 4, 100)}"


def _group(name: str, rows: Iterable[Row]) -> Group:
    group = Group(name)
    for row in rows:
        group.add(1, row.size, row.bytes_out, row.seconds)
    return group


def _groups(rows: Iterable[Row], name_of: Callable[[Row], str]) -> list[Group]:
    """Return the sums of the rows with each name, the largest first."""
    groups: dict[str, Group] = {}
    for row in rows:
        groups.setdefault(name := name_of(row), Group(name)).add(1, row.size, row.bytes_out, row.seconds)
    ordered = sorted(groups.values(), key=lambda group: -group.before)
    shown, rest = ordered[:MAX_LINES], ordered[MAX_LINES:]
    if rest:
        shown.append(others := Group(f"{len(rest)} {OTHERS}"))
        for group in rest:
            others.add(group.files, group.before, group.after, group.seconds)
    return shown


def text(summary: Summary) -> list[str]:
    """Return a summary as lines of text."""
    total = summary.total
    lines = [f"{number:12,} {status}" for status, number in summary.statuses.items()]
    if total.files:
        lines.append(
            f"{total.before:,} -> {total.after:,} bytes, {total.saving_percent:.2f} % saved; "
            f"{total.megabytes_per_second:.2f} MB/s for each worker"
        )
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in summary.originals.items())
        lines.append(f"originals: {kinds}; restored in another process: {summary.audited:,}")
    for title, groups in _tables(summary):
        if groups:
            lines += ["", f"{'files':>10} {'bytes before':>16} {'saved':>8}  {title}"]
            lines += [f"{g.files:10,} {g.before:16,} {g.saving_percent:6.2f} %  {g.name}" for g in groups]
    if summary.failures:
        lines += ["", f"{'files':>10}  reason"]
        lines += [f"{number:10,}  {reason}" for reason, number in list(summary.failures.items())[:MAX_LINES]]
    return lines


def _tables(summary: Summary) -> list[tuple[str, list[Group]]]:
    return [("camera", summary.cameras), ("quality", summary.qualities), ("model", summary.models)]


_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;width:100%;margin-bottom:2rem}td,th{padding:.2rem .6rem;text-align:right}
th{border-bottom:1px solid #999}td:first-child,th:first-child{text-align:left}
.bar{width:40%}.bar svg{display:block;width:100%;height:1rem}
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}}"""


def page(summary: Summary, name: str) -> str:
    """Return a summary as an HTML page with bars, which needs no other file."""
    total = summary.total
    title = f"Compression of {name}"
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>",
        f"<h1>{escape(title)}</h1><p>{total.files:,} files, {total.before:,} → {total.after:,} bytes: ",
        f"<b>{total.saving_percent:.2f} % saved</b>, {total.megabytes_per_second:.2f} MB/s for each worker. ",
        f"Originals: {escape(', '.join(f'{n:,} {kind}' for kind, n in summary.originals.items()) or 'none')}; ",
        f"{summary.audited:,} restored in another process. Made {time.strftime('%Y-%m-%d %H:%M %Z')}.</p>",
    ]
    for heading, groups in _tables(summary):
        rows: list[tuple[str, ...]] = [
            (g.name, f"{g.files:,}", f"{g.before:,}", f"{g.megabytes_per_second:.1f}", f"{g.saving_percent:.2f} %")
            for g in groups
        ]
        titles = (heading, "files", "bytes before", "MB/s", "saved")
        parts.append(_html_table(f"Saving by {heading}", titles, rows, [g.saving_percent for g in groups]))
    for heading, counts in (("Keys by status", summary.statuses), ("Failures by reason", summary.failures)):
        shown = list(counts.items())[:MAX_LINES]
        rows = [(reason, f"{number:,}") for reason, number in shown]
        parts.append(_html_table(heading, (heading.split()[-1], "files"), rows, [number for _, number in shown]))
    return "\n".join(parts) + "</html>\n"


def _html_table(heading: str, titles: tuple[str, ...], rows: list[tuple[str, ...]], lengths: Sequence[float]) -> str:
    """Return a table with a bar in each row, or "" for no rows."""
    if not rows:
        return ""
    longest = max(*lengths, 1e-9)
    lines = [f"<h2>{escape(heading)}</h2><table><tr>"]
    lines += [f"<th>{escape(title)}" for title in titles] + ["<th class=bar>"]
    for row, length in zip(rows, lengths):
        width = 100 * max(length, 0) / longest
        bar = (
            f'<svg preserveAspectRatio=none viewBox="0 0 100 1"><rect width={width:.2f} height=1 fill=#4a7ebb /></svg>'
        )
        lines += ["<tr>", *(f"<td>{escape(cell)}" for cell in row), f"<td class=bar>{bar}"]
    return "\n".join(lines) + "</table>"
