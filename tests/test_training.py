"""Training runs of a few seconds: start, stop, resumption, and export of a model that codes files."""

import csv
import inspect
import io
import json
import sys
import tarfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import jpeg_bytes, photograph, pixels, trained
from PIL import Image
from typer.testing import CliRunner

from lic_native import _native, cli, jpeg
from lic_native.coding.coder import StreamDecoder, StreamEncoder
from lic_native.errors import LicError
from lic_native.jpeg import network
from lic_native.jpeg.torch_network import TorchNetwork
from lic_native.models.bls2017 import Bls2017, Config
from lic_native.models.mlcc import Mlcc
from lic_native.training import Options, context_prior, data, loop, train_image, train_jpeg
from lic_native.training import image as image_training
from lic_native.training import jpeg as training

pytestmark = pytest.mark.usefixtures("one_thread")


def read_curve(out):
    return list(csv.DictReader(io.StringIO((out / "curve.csv").read_text())))


@pytest.fixture
def shard(tmp_path):
    """Return a folder with a .tar shard of photographs, as large runs use, and one plain file."""
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
    first = trained(train_jpeg, shard, out, 0.05, batch=2, device="cpu")
    (before,) = read_curve(out)
    second = trained(train_jpeg, shard, out, float(before["minutes"]) + 0.1, batch=2, device="cpu")
    rows = read_curve(out)
    assert rows[:-1] == [before]
    assert int(rows[1]["steps"]) > int(rows[0]["steps"]) > 0
    assert second > first
    printed = capsys.readouterr().out
    assert printed.count("q75_saving_percent") == 4
    last = json.loads(printed.splitlines()[-1])
    assert last["floats"] == pytest.approx(second, abs=0.001) and abs(last["floats"] - last["exact"]) < 0.5

    coder = TorchNetwork(Mlcc.load(out / "mlcc.weights"))
    data = jpeg_bytes(64, 64)
    frame, planes, reconstruction = _native.jpeg_read(data)
    streams = network.encode_planes(coder, frame, planes)
    assert _native.jpeg_write(reconstruction, network.decode_planes(coder, frame, streams)) == data


@pytest.fixture
def few_pictures(monkeypatch):
    """Calibrate with two crops of each sampling instead of 64, and validate with one photograph."""

    def pictures(task):
        generator, tables = torch.Generator().manual_seed(0), data.annex_k(torch.tensor([50.0, 90.0]))
        for sampling in data.SAMPLING_SHARES:
            draws = data.Draws.zeros(2, data.CROP_DRAWS, 64).refill(generator)
            shape, picture = data.quantised(task.photographs.crops(draws, 64, 1), sampling, tables)
            yield shape, tables, picture

    examples = training.validation_examples
    monkeypatch.setattr(training.JpegTask, "calibration_batches", pictures)
    monkeypatch.setattr(training, "validation_examples", lambda photographs, quality: examples(photographs, quality, 1))


def test_runs_of_equal_steps_and_seed_are_equal(shard, tmp_path, few_pictures):
    """A run that was stopped and resumed is the same, too."""
    options = {"batch": 2, "device": "cpu", "profile": "tiny", "hyper": 4, "seed": 3}

    def curve(name):
        return [{k: v for k, v in row.items() if k != "minutes"} for row in read_curve(tmp_path / name)]

    trained(train_jpeg, shard, tmp_path / "one", steps=3, **options)
    trained(train_jpeg, shard, tmp_path / "two", steps=3, **options)
    assert curve("one") == curve("two")
    assert [row["steps"] for row in curve("one")] == ["3"]
    assert float(curve("one")[0]["q75_bpp"]) > float(curve("one")[0]["q75_side_bpp"]) > 0

    # A finished run continues with a warm restart and the next crops.
    for name in ("one", "two"):
        trained(train_jpeg, shard, tmp_path / name, steps=5, **options)
    assert curve("one") == curve("two")
    assert [row["steps"] for row in curve("one")] == ["3", "5"]
    assert Mlcc.load(tmp_path / "one" / "mlcc.weights").config.z_channels == 4


@pytest.mark.parametrize("train", [train_jpeg, train_image])
def test_a_run_ends_after_minutes_steps_or_seconds(tmp_path, train):
    for end in ({}, {"minutes": 1, "steps": 1}, {"steps": 1, "seconds": 1}):
        with pytest.raises(ValueError, match="after minutes, after steps or after seconds"):
            trained(train, tmp_path, tmp_path / "run", **end)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"crop": 100}, ValueError, "crop must be a multiple of (16|32) pixels, not 100"),
        ({"crop": 0}, ValueError, "crop must be (16|32) or more, not 0"),
        ({"crop": -16}, ValueError, "crop must be (16|32) or more, not -16"),
        ({"crop": 64.0}, TypeError, "crop must be an integer, not float"),
        ({"batch": 0}, ValueError, "batch must be 1 or more, not 0"),
        ({"limit": 0}, ValueError, "limit must be 1 or more, not 0"),
        ({"rate": -1.0}, ValueError, "rate must be 0 or more, not -1"),
        ({"steps": 0}, ValueError, "steps must be 1 or more, not 0"),
        ({"steps": None, "minutes": 0}, ValueError, "minutes must be more than 0, not 0"),
        ({"report_minutes": -1}, ValueError, "report_minutes must be 0 or more, not -1"),
        ({"device": "gpu"}, ValueError, "unknown device 'gpu'"),
        ({"start": "none.weights"}, FileNotFoundError, "none.weights"),
        ({"data": "nowhere"}, FileNotFoundError, "there is no such folder of photographs: .*nowhere"),
        ({"data": "nowhere", "steps": None}, FileNotFoundError, "there is no such folder of photographs: .*nowhere"),
        ({"quality": 9.0}, ValueError, "quality 9.0 is not from 1 to 8"),
        ({"noise": 2.0}, ValueError, "noise must be from 0 to 1, not 2"),
        ({"steps": None, "seconds": 0}, ValueError, "seconds must be more than 0, not 0"),
        ({"profile": "huge"}, ValueError, "unknown profile 'huge'; choose from: tiny, (quick|balanced), fast, best"),
        ({"camera": "nowhere"}, FileNotFoundError, "there is no such folder of JPEG files: .*nowhere"),
        ({"camera_share": 2.0}, ValueError, "camera_share must be from 0 to 1, not 2"),
        ({"hyper": -1}, ValueError, "hyper must be 0 or more, not -1"),
    ],
    ids=str,
)
def test_invalid_options_are_refused_before_anything_is_done(tmp_path, monkeypatch, options, error, message):
    """Both trainings refuse the options that they have."""
    monkeypatch.setattr(loop, "Photographs", lambda *_: pytest.fail("photographs were read"))
    run = {field.name for field in fields(Options)}
    for train in (train_jpeg, train_image):
        if options.keys() <= run | inspect.signature(train).parameters.keys():
            arguments = {"data": tmp_path, "steps": 1} | options
            arguments["data"] = tmp_path / arguments["data"]
            with pytest.raises(error, match=message):
                trained(train, out=tmp_path / "run", **arguments)
            assert not (tmp_path / "run").exists()


def test_unreadable_photographs_are_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(LicError, match=r"a\.png, below .*, can't be read"):
        data.Photographs(tmp_path)
    (tmp_path / "a.png").unlink()
    (tmp_path / "0.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(LicError, match=r"0\.tar can't be read"):
        data.Photographs(tmp_path)


@pytest.mark.parametrize("train", [train_jpeg, train_image])
def test_checkpoints_of_other_models_are_refused(shard, tmp_path, train):
    (tmp_path / "run").mkdir()
    clock = {"elapsed": 1.0, "start": 0.0, "end": 9, "steps": 1, "megapixels": 1.0}
    for other in ({"config": {"former": 3}, "model": {}}, {"model": {}}, {}):
        torch.save({"clock": clock, "unit": "steps", **other}, tmp_path / "run" / "checkpoint.pt")
        with pytest.raises(LicError, match=r"checkpoint\.pt is of another model or an earlier release"):
            trained(train, shard, tmp_path / "run", steps=9, device="cpu")


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"cut")
    for train in (train_jpeg, train_image):
        with pytest.raises(LicError, match=r"checkpoint\.pt can't be read"):
            trained(train, tmp_path, tmp_path / "run", steps=1)


def test_native_needs_a_folder_to_write_to(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        context_prior.train(tmp_path, tmp_path / "nowhere" / "prior.bin")
    with pytest.raises(FileNotFoundError, match="there is no such folder of photographs"):
        context_prior.train(tmp_path / "nowhere", tmp_path / "prior.bin")


@pytest.fixture
def few_crops(monkeypatch):
    monkeypatch.setattr(image_training, "START_CROPS", 4)
    monkeypatch.setattr(image_training, "COUNTED_CROPS", 16)


def test_an_image_codec_is_trained_resumed_and_exported(shard, tmp_path, few_crops):
    options = {"batch": 2, "device": "cpu", "profile": "bls2017", "channels": (8, 12, 16), "seed": 5}

    def curve(name):
        return [{k: v for k, v in row.items() if k != "minutes"} for row in read_curve(tmp_path / name)]

    first = trained(train_image, shard, tmp_path / "one", steps=2, **options)
    assert trained(train_image, shard, tmp_path / "two", steps=2, **options) == first
    later = [trained(train_image, shard, tmp_path / name, steps=30, **options) for name in ("one", "two")]
    assert later[0] == later[1] < first
    # A finished run only returns its result.
    assert trained(train_image, shard, tmp_path / "one", steps=30, **options) == later[0]
    assert curve("one") == curve("two")
    assert [row["steps"] for row in curve("one")] == ["2", "30"]
    assert float(curve("one")[1]["q1_bpp"]) < float(curve("one")[1]["q8_bpp"])

    codec = Bls2017.load(tmp_path / "one" / "bls2017.weights")
    encoder, index = StreamEncoder(), torch.tensor([200])
    symbols = codec.encode(pixels(64, 80), index).round()
    codec.walk(encoder, index, (4, 5), symbols)
    assert torch.equal(codec.walk(StreamDecoder(encoder.finish()), index, (4, 5)), symbols)

    # Other runs start from its weights, here for one quality.
    for name in ("checkpoint.pt", "bls2017.weights"):
        out = tmp_path / Path(name).stem
        trained(train_image, shard, out, steps=1, start=tmp_path / "one" / name, quality=3.0, rate=0.0, **options)
        (row,) = read_curve(out)
        assert [name for name in row if name.endswith("_psnr")] == ["q3_psnr"]
        begun = Bls2017.load(out / "bls2017.weights")
        assert torch.equal(begun.g_s[4].weight, codec.g_s[4].weight)
        assert torch.equal(begun.log_gain, codec.log_gain)


def test_the_command_trains_image_codecs(shard, tmp_path, few_crops):
    command = ["train", "image", "--data", shard, "--out", tmp_path / "run", "--steps", 1, "--batch", 1]
    options = ["--profile", "bls2017", "--channels", "4", "6", "8", "--device", "cpu"]
    result = CliRunner().invoke(cli.app, [*map(str, command), *options])
    assert result.exit_code == 0, result.output
    assert Bls2017.load(tmp_path / "run" / "bls2017.weights").config == Config((4, 6, 8))
    result = CliRunner().invoke(cli.app, [*map(str, command), "--profile", "none"])
    assert isinstance(result.exception, ValueError) and "bls2017" in str(result.exception)


def test_the_learning_curve_is_drawn_with_matplotlib(tmp_path):
    pytest.importorskip("matplotlib")
    curve = tmp_path / "curve.csv"
    curve.write_text("minutes,steps,q75_saving_percent,q95_saving_percent\n1,50,20.5,\n2,100,21.5,18.0\n")
    loop.plot(curve, "_saving_percent", "saving")
    with Image.open(tmp_path / "curve.png") as image:
        assert image.format == "PNG"


def test_a_learning_curve_needs_no_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    curve = tmp_path / "curve.csv"
    curve.write_text("minutes,steps,q75_saving_percent\n1,50,20.5\n")
    loop.plot(curve, "_saving_percent", "saving")
    assert list(tmp_path.iterdir()) == [curve]


def test_exported_weights_can_be_trained_further(shard):
    """Their rate differs from that of the exact model only by rounding."""
    from importlib.resources import files

    from lic_native.training.jpeg import validate, validation_examples

    path = files("lic_native.weights") / "mlcc-fast.weights"
    examples = validation_examples(data.Photographs(shard), 75, 4)
    exact, trainable = Mlcc.load(path), Mlcc.load(path, trainable=True)
    assert validate(trainable, examples)[0] == pytest.approx(validate(exact, examples)[0], rel=0.01)
    assert all(parameter.requires_grad for parameter in trainable.parameters())


def test_coefficients_for_training_equal_those_of_a_jpeg_file():
    """Pillow encodes the same pixels at three samplings; only rare roundings differ."""
    pixels = photograph(96, 128)
    for sampling, subsampling in {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}.items():
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=75, subsampling=subsampling)
        expected = jpeg.read_coefficients(buffer.getvalue())
        tables = data.annex_k(torch.tensor([75.0]))
        assert tables[0].int().tolist() == [table.tolist() for table in expected.tables[:2]]
        _, picture = data.quantised(torch.from_numpy(pixels)[None], sampling, tables)
        for ours, theirs in zip((picture.luma, *reversed(picture.chroma)), expected.planes):
            different = (ours[0].permute(2, 0, 1).numpy() != theirs).mean()
            assert different < 0.01


def test_held_out_photographs_are_never_trained_on(shard):
    photographs = data.Photographs(shard)
    assert len(photographs.training) + len(photographs.validation) == 31
    again = data.Photographs(shard)
    assert [i.sum() for i in again.validation] == [i.sum() for i in photographs.validation]


def test_the_command_trains_the_prior_of_the_native_coder(shard, tmp_path, monkeypatch):
    """The prior has the coder's length, depends on the seed alone, and is better than uniform distributions."""
    monkeypatch.setattr(context_prior, "BATCH", 256)
    outs = [tmp_path / name for name in ("one.bin", "two.bin")]
    for out in outs:
        options = ["--data", shard, "--out", out, "--files", 12, "--steps", 6, "--seed", 3]
        result = CliRunner().invoke(cli.app, ["train", "native", *map(str, options)], catch_exceptions=False)
        assert result.exit_code == 0
    prior = outs[0].read_bytes()
    assert prior == outs[1].read_bytes()
    shipped = Path(__file__).parents[1] / "rust/src/jpeg/context_model/prior.bin"
    assert len(prior) == shipped.stat().st_size

    file = jpeg_bytes(128, 160, seed=7)
    numbers = np.frombuffer(prior, "<i2")[8 * 15 :].reshape(2, -1)
    for begins, (rows, bits) in zip(numbers, _native.context_statistics(prior, [file])):
        slots = begins[136 * 64 : 136 * 64 + rows.size].reshape(-1, 16).astype(int)
        worth = slots[:, 0].copy()
        slots[:, 0] = 0
        shares = np.diff(slots, append=2**15) / 2**15
        assert (shares > 0).all() and (worth > 0).all() and (worth < 256).all()
        rows = rows.reshape(-1, 16)
        # Even a dozen files are better than a uniform start.
        assert -(rows * np.log2(shares)).sum() < 0.8 * 4 * rows.sum()
        assert begins[136 * 64 + rows.size :].size == bits.size


def test_context_numbers_equal_those_of_the_native_coder():
    """Python and Rust number contexts alike, so counts of symbols agree."""
    prior = (Path(__file__).parents[1] / "rust/src/jpeg/context_model/prior.bin").read_bytes()
    file = jpeg_bytes(128, 160, seed=7)
    planes = context_prior.read(file)
    (rows, bits), _ = _native.context_statistics(prior, [file])
    rows = rows.reshape(-1, 16)
    assert len(rows) == context_prior.count(context_prior.ROWS) and len(bits) == 2 * context_prior.count(
        context_prior.BITS
    )
    blocks, luma = planes[0].blocks.reshape(-1, 64), planes[0]
    end = context_prior.ends(blocks)
    coded = np.arange(64) <= end[:, None]
    last = np.arange(64) == end[:, None]

    def seen(name):
        return rows[context_prior.numbers(context_prior.ROWS, name)]

    assert seen("inner").sum() == (coded & ~last & context_prior.INNER).sum()
    assert seen("inner_last").sum() == (last & context_prior.INNER).sum()
    edge = ~context_prior.INNER & (np.arange(64) > 0)
    assert seen("edge").sum() == (coded & ~last & edge).sum()
    assert seen("edge_last").sum() == (last & edge).sum()
    assert seen("end_high").sum() == seen("end_low").sum() == seen("dc").sum() == len(blocks)
    assert (seen("end_high").sum(0) == np.bincount(end // 4, minlength=16)).all()

    # Contexts and symbols of the first row and column, in the regression and in the coder.
    numbers = np.frombuffer(prior, "<i2")
    samples = context_prior.Samples.of([planes], numbers[: 8 * 15].reshape(8, 15), "luma", 0, most=len(blocks))
    assert len(samples.ends) == len(blocks) and luma.bits > 0
    first = context_prior.numbers(context_prior.ROWS, "edge").start
    counted = np.zeros((16 * 16, 16), int)
    chosen = samples.rows.numpy() >= first
    np.add.at(counted, ((samples.rows.numpy()[chosen] - first) // 16, samples.symbols.numpy()[chosen]), 1)
    assert (counted == seen("edge").reshape(16 * 16, 16, 16).sum(1)).mean() > 0.99
    assert counted.sum() == seen("edge").sum()


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        trained(train_jpeg, tmp_path, tmp_path / "run", 1)
