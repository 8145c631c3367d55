"""A run of a few seconds: it starts, stops, goes on, and what it exports codes files."""

import csv
import io
import tarfile

import pytest
import torch
from conftest import jpeg_bytes, photograph
from PIL import Image

from lic_native import _native, jpeg
from lic_native.models.mlcc import Mlcc
from lic_native.training import photographs
from lic_native.training.jpeg import train


@pytest.fixture(autouse=True)
def one_thread():
    """Tests share their machine; threads that wait for each other on it are slow."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def read_curve(out):
    return list(csv.DictReader(io.StringIO((out / "curve.csv").read_text())))


@pytest.fixture
def shard(tmp_path):
    """A .tar shard of photographs, as large runs use, and one plain file beside it."""
    folder = tmp_path / "data"
    folder.mkdir()
    with tarfile.open(folder / "0.tar", "w") as tar:
        for i in range(30):
            buffer = io.BytesIO()
            Image.fromarray(photograph(288, 320, i)).save(buffer, "PNG")
            member = tarfile.TarInfo(f"{i}.png")
            member.size = buffer.tell()
            tar.addfile(member, io.BytesIO(buffer.getvalue()))
    Image.fromarray(photograph(288, 320, 99)).save(folder / "plain.png")
    return folder


def test_a_run_is_resumed_and_its_export_codes_files(shard, tmp_path, capsys):
    out = tmp_path / "run"
    first = train(shard, out, 0.05, batch=2, device="cpu")
    (before,) = read_curve(out)
    second = train(shard, out, float(before["minutes"]) + 0.1, batch=2, device="cpu")
    rows = read_curve(out)
    assert rows[:-1] == [before]
    assert int(rows[1]["steps"]) > int(rows[0]["steps"]) > 0
    assert second > first
    assert capsys.readouterr().out.count("q75_saving_percent") == 2

    model = Mlcc.load(out / "mlcc.safetensors")
    data = jpeg_bytes(64, 64)
    frame, planes, skeleton = _native.jpeg_read(data)
    streams = jpeg.encode_planes(model, frame, planes)
    assert _native.jpeg_write(skeleton, jpeg.decode_planes(model, frame, streams)) == data


def test_exported_weights_can_be_trained_on(shard):
    """They give the rate of the exact model but for what rounding changed."""
    from importlib.resources import files

    from lic_native.training.jpeg import validate, validation_examples

    path = files("lic_native.weights") / "mlcc-fast.safetensors"
    examples = validation_examples(photographs.Photographs(shard), 75, 4)
    exact, trainable = Mlcc.load(path), Mlcc.trainable(path)
    assert validate(trainable, examples)[0] == pytest.approx(validate(exact, examples)[0], rel=0.01)
    assert all(parameter.requires_grad for parameter in trainable.parameters())


def test_coefficients_made_for_training_are_those_of_a_jpeg_file():
    """The same pixels through Pillow, at three samplings: all but rare roundings are equal."""
    pixels = photograph(96, 128)
    for sampling, subsampling in {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}.items():
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=75, subsampling=subsampling)
        expected = jpeg.read_coefficients(buffer.getvalue())
        tables = photographs.annex_k(torch.tensor([75.0]))
        assert tables[0].int().tolist() == [table.tolist() for table in expected.tables[:2]]
        _, picture = photographs.quantised(torch.from_numpy(pixels)[None], sampling, tables)
        for ours, theirs in zip((picture.luma, *reversed(picture.chroma)), expected.planes):
            different = (ours[0].permute(2, 0, 1).numpy() != theirs).mean()
            assert different < 0.01


def test_held_out_photographs_are_never_trained_on(shard):
    data = photographs.Photographs(shard)
    assert len(data.training) + len(data.validation) == 31
    again = photographs.Photographs(shard)
    assert [i.sum() for i in again.validation] == [i.sum() for i in data.validation]


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        train(tmp_path, tmp_path / "run", 1)
