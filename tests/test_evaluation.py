"""The table of savings."""

from conftest import jpeg_bytes, photograph
from PIL import Image

from lic_native.evaluation.jpeg import Codec, codecs, evaluate, measure, table


def test_every_codec_is_measured_on_the_same_files(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg_bytes())
    Image.fromarray(photograph(64, 64)).save(tmp_path / "b.png")
    (tmp_path / "notes.txt").write_text("no image")
    rows = evaluate(tmp_path, quality=80)
    assert [row.codec for row in rows] == [codec.name for codec in codecs()]
    assert {(row.files, row.jpeg_bytes) for row in rows} == {(2, rows[0].jpeg_bytes)}
    assert (rows[0].codec, rows[0].exact, rows[0].refused) == ("lic_native", 2, 0)
    assert all(f"| {row.codec} | {row.coded_bytes:,} |" in table(rows) for row in rows)


def test_refusals_count_as_stored_and_wrong_bytes_are_seen():
    def refuse(data: bytes) -> bytes:
        raise RuntimeError("too odd")

    files = [b"abcd", b"efgh12"]
    refusing = measure(Codec("refuses", refuse, refuse), files)
    assert (refusing.coded_bytes, refusing.refused, refusing.exact, refusing.saving_percent) == (10, 2, 0, 0.0)
    wrong = measure(Codec("wrong", lambda data: data[:2], lambda data: data), files)
    assert (wrong.coded_bytes, wrong.refused, wrong.exact, wrong.saving_percent) == (4, 0, 0, 60.0)
