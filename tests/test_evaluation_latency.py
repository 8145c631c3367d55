"""Time of image codecs by stage. CompressAI's models are measured if it is installed (`make latency`)."""

import csv
import itertools
import sys
import time
import warnings
from dataclasses import replace

import pytest
import torch
from conftest import photograph
from typer.testing import CliRunner

from lic_native import cli, observe
from lic_native.evaluation import engine, latency
from lic_native.evaluation.codecs.compressai import MODELS, RandomModel
from lic_native.evaluation.engine import Codec
from lic_native.evaluation.images import noise
from lic_native.evaluation.latency import REFERENCE, STAGES, Timing, codecs, table, time_codec
from lic_native.image.torch_coder import TorchCoder
from lic_native.models import registry
from lic_native.models.msp import Config, Msp

TINY = Config(
    y_channels=8,
    transform_width=16,
    groups=((0, 2), (2, 8)),
    embedding_width=8,
    trunk_width=8,
    head_width=8,
    skip_channels=2,
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        return Msp(TINY).calibrate([torch.rand(2, 3, 64, 64)]).freeze()


@pytest.fixture
def ours(model, monkeypatch):
    """Replace the codec of a profile by one of several steps, small and untrained, and let torch do its walk."""
    monkeypatch.setattr(registry, "IMAGE_PROFILES", {"fast": "msp-fast"})
    monkeypatch.setattr("lic_native.image.codec.latent_coder", TorchCoder)
    monkeypatch.setattr(registry, "load_image", lambda name, device=None: model)
    (codec,), _ = codecs(["lic_native fast"], "cpu")
    return codec


def peer(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("compressai.zoo")
    (codec,), _ = codecs([name], "cpu")
    return codec


def measure(codec, samples, repetitions=1):
    return time_codec(codec, samples, CPU, repetitions)


def test_a_moment_counts_for_the_innermost_stage(monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(latency, "_clock", lambda device: float(next(ticks)))

    def work(*_):
        with observe.stage("prior"):
            for _ in range(3):
                with observe.stage("coder"):
                    pass
        return photograph(8, 8)

    for row in measure(Codec("steps", work, work), photograph(8, 8)):
        assert [getattr(row, stage) for stage in STAGES] == [0, 4, 3, 0, 2]
        assert (row.walks, row.steps) == (1, 2)


def test_stages_are_where_they_belong_and_are_the_whole(ours):
    # Readings of the same clock around the whole: each stage's lie between them.
    start = time.perf_counter()
    encoded, decoded = measure(ours, photograph(48, 64))
    end = time.perf_counter()
    assert 0 < encoded.seconds + decoded.seconds < end - start
    for row, absent in ((encoded, "synthesis"), (decoded, "analysis")):
        assert [stage for stage in STAGES if getattr(row, stage) == 0] == [absent]


def test_a_walk_in_rust_has_no_steps(ours, monkeypatch):
    monkeypatch.undo()
    (codec,), _ = codecs(["lic_native fast"], "cpu")
    for row in measure(codec, photograph(16, 16)):
        assert (row.steps, row.coder) == (0, 0) and row.walks and row.prior


def test_the_number_of_steps_does_not_depend_on_the_size(ours):
    decoded = [measure(ours, photograph(*size))[1] for size in ((64, 64), (65, 97), (160, 80))]
    # Two scales of 1 and 3 and 3 phases, each in the groups of its channels.
    assert {row.steps for row in decoded} == {7 * len(TINY.groups)}
    assert {row.walks for row in decoded} == {1}
    assert len({row.calls for row in decoded}) == 1


def test_each_tile_is_a_walk(ours, model, monkeypatch):
    encoded, decoded = measure(ours, photograph(128, 128))
    monkeypatch.setattr(model, "TILE", 4, raising=False)
    more_encoded, more_decoded = measure(ours, photograph(128, 128))
    assert (decoded.walks, more_decoded.walks) == (1, 4)
    assert more_decoded.steps == 4 * decoded.steps
    # An encoder decodes as well.
    assert (encoded.walks, more_encoded.walks) == (2, 8)
    assert (encoded.steps, more_encoded.steps) == (2 * decoded.steps, 8 * decoded.steps)


def test_what_is_observed_is_as_before_afterwards(ours):
    def hooks():
        return len(torch.nn.modules.module._global_forward_pre_hooks)

    before, seen = hooks(), []
    engine.measure(ours, photograph(16, 16))
    with latency._counting_layers():
        seen.append(hooks())
        with pytest.raises(ZeroDivisionError):
            engine.measure_call(lambda: 1 // 0)
    assert seen[0] == before + 1
    assert hooks() == before
    with pytest.raises(ZeroDivisionError), latency._counting_layers():
        raise ZeroDivisionError
    assert hooks() == before
    assert observe.stage("coder") is observe.stage("prior")


def test_the_repetition_of_median_total_is_reported(ours, monkeypatch):
    samples = photograph(16, 16)
    totals = iter([5.0, 50.0, 3.0, 30.0, 4.0, 40.0])

    def measured(codec, source, **options):
        encode, decode = (
            engine.Call(samples, next(totals) if options else 0.0, observe.Stages()) for _ in ("encode", "decode")
        )
        return engine.Measurement(encode, decode)

    monkeypatch.setattr(latency, "measure", measured)
    assert [row.seconds for row in measure(ours, samples, 3)] == [4, 40]


def test_what_is_decoded_must_be_as_large(ours, monkeypatch):
    wrong = replace(ours, decode=lambda coded: photograph(16, 32))
    with pytest.raises(ValueError, match="another size"):
        measure(wrong, photograph(32, 32))


def row(codec, width, seconds, direction="encode"):
    parts = dict.fromkeys(STAGES, seconds / 5)
    counts = {"walks": 1, "steps": 2, "calls": 3}
    return Timing(codec, width, 1000, direction, "cpu", 1, 1, 0.5, **parts, **counts)


def test_speeds_are_multiples_of_the_reference_of_the_same_size_and_direction():
    rows = [row("a", 1000, 2.0), row(REFERENCE, 1000, 8.0), row(REFERENCE, 2000, 9.0), row("a", 1000, 2.0, "decode")]
    head, _, *lines = table(rows).splitlines()
    names, *cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in (head, *lines))
    found = [dict(zip(names, each, strict=True)) for each in cells]
    assert [each[f"x {REFERENCE}"] for each in found] == ["4.00", "1.00", "1.00", ""]
    assert [each["MP/s"] for each in found] == ["0.500", "0.125", "0.222", "0.500"]
    assert found[2]["size"] == "2000x1000"


def command(*arguments):
    return CliRunner().invoke(cli.app, ["evaluate", "latency", "--device", "cpu", *arguments])


@pytest.mark.usefixtures("ours")
def test_the_command_prints_a_table_and_writes_its_rows(monkeypatch, tmp_path):
    # As where CompressAI is not installed.
    monkeypatch.setitem(sys.modules, "compressai.zoo", None)
    file = tmp_path / "rows.csv"
    threads = torch.get_num_threads()
    result = command("--size", "32x16", "--size", "48x64", "--repetitions", "2", "--threads", "1", "--csv", str(file))
    assert result.exit_code == 0, result.output
    assert torch.get_num_threads() == threads
    assert result.stdout.count("| lic_native fast |") == 4
    assert "random weights" in result.stdout and "2K as DCI" in result.stdout
    assert all(f"{name} is missing" in result.stderr for name in MODELS)
    with file.open() as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["width"], row["height"], row["direction"]) for row in rows] == [
        (*size, direction) for size in (("32", "16"), ("48", "64")) for direction in ("encode", "decode")
    ]
    for row in rows:
        assert float(row["seconds"]) == pytest.approx(sum(float(row[stage]) for stage in STAGES))
    assert {(row["threads"], row["repetitions"], row["device"]) for row in rows} == {("1", "2", "cpu")}


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--codec", "best"), "unknown codec 'best'; choose from: lic_native fast, mbt2018_mean"),
        (("--size", "2K"), "'2K' is not a size"),
        (("--size", "0x16"), "'0x16' is not a size"),
        (("--repetitions", "0"), "repetitions must be 1 or more, not 0"),
        (("--threads", "0"), "threads must be 1 or more, not 0"),
        (("--device", "gpu"), "unknown device 'gpu'"),
        (("--csv", "nowhere/rows.csv"), "nowhere"),
        (("--codec", "mbt2018_mean"), "nothing to measure"),
    ],
)
def test_what_can_not_be_measured_is_refused_before_anything_is(monkeypatch, arguments, message):
    monkeypatch.setitem(sys.modules, "compressai.zoo", None)
    monkeypatch.setattr(latency, "time_codec", None)
    result = command(*arguments)
    assert isinstance(result.exception, (ValueError, OSError))
    assert message in str(result.exception)


@pytest.mark.parametrize("name", MODELS)
def test_models_of_compressai(name):
    codec = peer(name)
    random = torch.get_rng_state()
    small, large = (measure(codec, noise(*size)) for size in ((64, 64), (100, 70)))
    assert torch.equal(torch.get_rng_state(), random)
    positions = [16, 8 * 8]
    assert [rows[1].steps for rows in (small, large)] == [1 + (n if codec.slow else 1) for n in positions]
    for encoded, decoded in (small, large):
        assert encoded.walks == decoded.walks == 1
        assert encoded.analysis > 0 and encoded.synthesis == 0 and encoded.coder > 0
        assert decoded.synthesis > 0 and decoded.analysis == 0 and decoded.prior > 0
        # More than a stream of zeros, and less than one of escapes.
        assert 0.3 < encoded.bpp < 5
    model = codec.encode.__self__
    assert model.latents[0].round().unique().numel() > 2


def test_latents_that_do_not_come_back_are_refused():
    peer("mbt2018_mean")
    model = RandomModel("mbt2018_mean", "cpu")
    other = model.encode(noise(64, 64, seed=1))
    coded = model.encode(noise(64, 64))
    model.decode(coded)
    model.verify()
    model.encode(noise(64, 64))
    model.decode(other)
    with pytest.raises(ValueError, match="don't come back"):
        model.verify()
