"""The bench of a GPU, in small and on the CPU."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from lic_native.models import registry

BENCH = Path(__file__).parents[1] / "benches" / "gpu.py"


@pytest.fixture(scope="module")
def gpu():
    spec = importlib.util.spec_from_file_location("gpu", BENCH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu"] = module
    spec.loader.exec_module(module)
    return module


def test_every_path_is_compared_and_timed(gpu, capsys, tmp_path):
    report = tmp_path / "gpu.json"
    assert gpu.main(["--device", "cpu", "--small", "--seconds", "600", "--json", str(report)]) == 0
    found = json.loads(report.read_text())
    assert not found["left_out"] and all(check["files"] and not check["wrong"] for check in found["exactness"])
    assert {check["worst"] for check in found["exactness"]} == {None, 0}
    codecs = [*(f"JPEG {p}" for p in registry.PROFILES), *(f"image {p}" for p in registry.IMAGE_PROFILES)]
    assert {(t["codec"], t["direction"], t["at_once"]) for t in found["times"]} == {
        (codec, direction, count)
        for codec in [*codecs, "tensor Gaussian", "tensor tables"]
        for direction in ("encode", "decode")
        for count in (1, 2)
    }
    assert all(t["seconds"] > 0 and t["units"] > 0 and t["coded_bytes"] for t in found["times"])
    assert {row["model"] for row in found["loading"]} == {*registry.NUMBERS} - {"native", "native-steps"}
    batches = {(b["codec"], b["mode"], b["files"], b["wrong"]) for b in found["batches"]}
    assert batches == {("JPEG fast", "engine", 2, 0), ("image fast", "engine", 2, 0)}
    out = capsys.readouterr().out
    assert "- torch: " in out and "| golden files restored |" in out and "0 wrong" in out
    assert all(f"| {codec} |" in out for codec in codecs)


def test_wrong_files_are_named(gpu, capsys, monkeypatch):
    restored = gpu.restore_golden.restored
    monkeypatch.setattr(gpu.restore_golden, "restored", lambda *a: restored(*a) + b"!" * (a[0] == "v1_fast_440.lic"))
    monkeypatch.setattr(gpu, "crossed", lambda *_: ())
    monkeypatch.setattr(gpu, "times", lambda *_: ())
    monkeypatch.setattr(gpu, "batches", lambda *_: ())
    assert gpu.main(["--device", "cpu", "--small"]) == 1
    assert "WRONG: golden files restored: v1_fast_440.lic\n" in capsys.readouterr().out


def test_samples_may_differ_by_one(gpu):
    check = gpu.Check("samples")
    for name, difference in (("equal", 0), ("near", 1), ("far", 2)):
        samples = gpu.photograph(16, 16) // 2
        others = samples.copy()
        others[0, 0, 0] += difference
        check.compare(name, samples, others)
    assert (check.files, check.wrong, check.worst, check.differing) == (3, ["far"], 2, round(1e6 / 768, 1))


def test_what_there_is_no_time_for_is_named(gpu, capsys):
    """A run that compared nothing has not shown anything."""
    assert gpu.main(["--device", "cpu", "--small", "--seconds", "0"]) == 1
    out = capsys.readouterr().out
    assert "left out, for want of time: golden file v1_fast_440.lic" in out
    assert "left out, for want of time: times of 96x64" in out
    assert "0 files and images compared, 0 wrong" in out


def test_photographs_have_the_size_that_is_asked_for(gpu):
    for width, height in ((16, 700), (1300, 20), (512, 600)):
        samples = gpu.photograph(width, height)
        assert samples.shape == (height, width, 3) and samples.std() > 10


def test_what_only_a_gpu_has_is_asked_of_torch(gpu, monkeypatch):
    """With stand-ins for the functions of torch that need one."""
    asked = []
    answers = {
        "get_device_name": "a GPU",
        "max_memory_allocated": 7,
        "reset_peak_memory_stats": None,
        "synchronize": None,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(
            gpu.torch.cuda, name, lambda device, name=name, answer=answer: asked.append((name, device)) or answer
        )
    assert gpu.machine("cuda")["gpu"] == "a GPU" and gpu.machine("cuda")["driver"]
    call, memory = gpu.called(lambda: b"file", "cuda")
    assert (call.result, memory) == (b"file", 7)
    assert set(asked) == {(name, "cuda") for name in answers}
    model, tried = object(), []
    for load in ("load", "load_image"):
        monkeypatch.setattr(registry, load, lambda name, device: type("Loaded", (), {"exact_part": model}))
    monkeypatch.setattr(gpu, "check_exact", lambda *arguments: tried.append(arguments))
    rows = list(gpu.loading("cuda"))
    assert tried == [(model, gpu.torch.device("cuda"))] * len(rows)
    columns = {"model", "cpu_seconds", "probing_core_seconds", "probing_seconds", "device_seconds"}
    assert all(row.keys() == columns for row in rows)
