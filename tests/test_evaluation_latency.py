"""The clock of image codecs. CompressAI's models are measured where it is installed (`make latency`)."""

import csv
import itertools
import sys
import warnings

import pytest
import torch
from conftest import photograph
from typer.testing import CliRunner

from lic_native import cli
from lic_native.coding import coder
from lic_native.evaluation import latency
from lic_native.evaluation.latency import PEERS, REFERENCE, STAGES, Row, Stopwatch, codecs, measure, observe, table
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
    """A codec of several steps, in place of a profile's: small and untrained."""
    monkeypatch.setattr(registry, "IMAGE_PROFILES", {"fast": "msp-fast"})
    monkeypatch.setattr(registry, "load_image", lambda name, device=None: model)
    (codec,) = codecs(["lic_native fast"], "cpu")
    return codec


def peer(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("compressai.zoo")
    (codec,) = codecs([name], "cpu")
    return codec


def test_a_moment_counts_for_the_innermost_stage(monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(latency.time, "perf_counter", lambda: float(next(ticks)))
    watch = Stopwatch(CPU)
    assert watch.switch("prior") == "rest"
    for _ in range(3):
        assert watch.switch("coder") == "prior"
        assert watch.switch("prior") == "coder"
    watch.switch("rest")
    assert watch.seconds() == {"analysis": 0, "prior": 4, "coder": 3, "synthesis": 0, "rest": 2}


def test_stages_are_where_they_belong_and_are_the_whole(ours):
    # Readings of the same clock around the whole: each stage's lie between them.
    start = latency.time.perf_counter()
    coded, encoding = observe(ours, lambda: ours.encode(photograph(48, 64)))
    middle = latency.time.perf_counter()
    _, decoding = observe(ours, lambda: ours.decode(coded))
    end = latency.time.perf_counter()
    assert 0 < encoding.total < middle - start
    assert 0 < decoding.total < end - middle
    for observation, absent in ((encoding, "synthesis"), (decoding, "analysis")):
        assert tuple(observation.seconds) == STAGES
        assert [stage for stage in STAGES if observation.seconds[stage] == 0] == [absent]


def test_the_number_of_steps_does_not_depend_on_the_size(ours):
    decoded = [measure(ours, photograph(*size), 1)[1] for size in ((64, 64), (65, 97), (160, 80))]
    # Two scales of 1 and 3 and 3 phases, each in the groups of its channels.
    assert {row.steps for row in decoded} == {7 * len(TINY.groups)}
    assert {row.walks for row in decoded} == {1}
    assert len({row.calls for row in decoded}) == 1


def test_each_tile_is_a_walk(ours, monkeypatch):
    encoded, decoded = measure(ours, photograph(128, 128), 1)
    monkeypatch.setattr(ours.model, "TILE", 4, raising=False)
    more_encoded, more_decoded = measure(ours, photograph(128, 128), 1)
    assert (decoded.walks, more_decoded.walks) == (1, 4)
    assert more_decoded.steps == 4 * decoded.steps
    # An encoder decodes as well.
    assert (encoded.walks, more_encoded.walks) == (2, 8)
    assert (encoded.steps, more_encoded.steps) == (2 * decoded.steps, 8 * decoded.steps)


def state(codec):
    """All that observing could leave behind."""
    methods = [vars(owner)[name] for owner in (coder.StreamEncoder, coder.StreamDecoder) for name in ("code", "finish")]
    hooks = sum(len(layer._forward_pre_hooks) for layer in codec.model.modules())
    return set(vars(codec.model)), methods, hooks


def test_what_is_observed_is_as_before_afterwards(ours):
    before = state(ours)
    seen = []
    observe(ours, lambda: seen.append(state(ours)))
    assert seen[0] != before
    assert state(ours) == before
    with pytest.raises(ZeroDivisionError):
        observe(ours, lambda: 1 // 0)
    assert state(ours) == before


def test_the_repetition_of_median_total_is_reported(ours, monkeypatch):
    totals = iter([5.0, 50.0, 3.0, 30.0, 4.0, 40.0])

    def observed(codec, work):
        seconds = dict.fromkeys(STAGES, 0.0) | {"coder": next(totals)}
        return work(), latency.Observation(seconds, latency.Counter())

    monkeypatch.setattr(latency, "observe", observed)
    assert [row.seconds for row in measure(ours, photograph(16, 16), 3)] == [4, 40]


def test_what_is_decoded_must_be_as_large(ours, monkeypatch):
    monkeypatch.setattr(ours, "decode", lambda coded: photograph(16, 32))
    with pytest.raises(ValueError, match="another size"):
        measure(ours, photograph(32, 32), 1)


def row(codec, width, seconds, direction="encode"):
    parts = dict.fromkeys(STAGES, seconds / 5)
    counts = {"walks": 1, "steps": 2, "calls": 3}
    return Row(codec, width, 1000, direction, "cpu", 1, 1, 0.5, **parts, **counts)


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
    assert all(f"{name} is missing" in result.stderr for name in PEERS)
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
        (("--codec", "best"), "codec 'best' is none of lic_native fast, mbt2018_mean"),
        (("--size", "2K"), "'2K' is no size"),
        (("--size", "0x16"), "'0x16' is no size"),
        (("--repetitions", "0"), "repetitions must be 1 or more, not 0"),
        (("--threads", "0"), "threads must be 1 or more, not 0"),
        (("--device", "gpu"), "unknown device 'gpu'"),
        (("--csv", "nowhere/rows.csv"), "nowhere"),
        (("--codec", "mbt2018_mean"), "nothing to measure"),
    ],
)
def test_what_can_not_be_measured_is_refused_before_anything_is(monkeypatch, arguments, message):
    monkeypatch.setitem(sys.modules, "compressai.zoo", None)
    monkeypatch.setattr(latency, "measure", None)
    result = command(*arguments)
    assert isinstance(result.exception, (ValueError, OSError))
    assert message in str(result.exception)


@pytest.mark.parametrize("name", PEERS)
def test_models_of_compressai(name):
    codec = peer(name)
    random = torch.get_rng_state()
    small, large = (measure(codec, latency.picture(*size), 1) for size in ((64, 64), (100, 70)))
    assert torch.equal(torch.get_rng_state(), random)
    positions = [16, 8 * 8]
    assert [rows[1].steps for rows in (small, large)] == [1 + (n if codec.serial else 1) for n in positions]
    for encoded, decoded in (small, large):
        assert encoded.walks == decoded.walks == 1
        assert encoded.analysis > 0 and encoded.synthesis == 0 and encoded.coder > 0
        assert decoded.synthesis > 0 and decoded.analysis == 0 and decoded.prior > 0
        # More than a stream of zeros, and less than one of escapes.
        assert 0.3 < encoded.bpp < 5
    latents = codec._latents[0]
    assert latents.round().unique().numel() > 2


def test_latents_that_do_not_come_back_are_refused():
    codec = peer("mbt2018_mean")
    size, parts = codec.encode(latency.picture(64, 64))
    _, other = codec.encode(latency.picture(64, 64, seed=1))
    codec._latents.clear()
    codec.encode(latency.picture(64, 64))
    codec.decode((size, parts))
    codec.verify()
    codec.encode(latency.picture(64, 64))
    codec.decode((size, other))
    with pytest.raises(ValueError, match="don't come back"):
        codec.verify()
