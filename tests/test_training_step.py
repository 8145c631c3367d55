"""What a training step is made of: crops, files of cameras, the step itself, its guard, parts, and what travels."""

import copy
import io
import math
import os
import subprocess
import sys
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import jpeg_bytes, trained
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from typer.testing import CliRunner

from lic_native import _native, cli, training
from lic_native.errors import CorruptError, LicError
from lic_native.jpeg import compress
from lic_native.models import msp
from lic_native.models.mlcc import PROFILES, Mlcc
from lic_native.models.msp import Msp
from lic_native.models.sampling import zigzag
from lic_native.nn.ambient import known_state
from lic_native.training import camera, data, image, jpeg, loop, parts
from lic_native.training import step as training_step
from lic_native.training.step import Guard, Step, tf32

pytestmark = pytest.mark.usefixtures("one_thread")

KINDS = [(False, sampling) for sampling in data.SAMPLING_SHARES] + [(True, "4:2:0"), (True, "4:2:2")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of photographs as JPEG files; some of them are held out."""
    path = tmp_path_factory.mktemp("photographs")
    for i in range(28):
        (path / f"{i}.jpg").write_bytes(jpeg_bytes(80 + 8 * (i % 3), 112, i, quality=95))
    return path


@pytest.fixture(scope="module")
def cameras(tmp_path_factory):
    """Return a shard of files of cameras, 4:2:0 and 4:2:2; number 20 is held out."""
    path = tmp_path_factory.mktemp("cameras")
    with tarfile.open(path / "0.tar", "w") as shard:
        for number, options in {1: {}, 2: {"subsampling": "4:2:2"}, 3: {"quality": 96}, 20: {}, 21: {}}.items():
            file = jpeg_bytes(96, 128, number, **options)
            about = tarfile.TarInfo(f"Maker-Model-{number:04}-1.jpg")
            about.size = len(file)
            shard.addfile(about, io.BytesIO(file))
    return path


@pytest.fixture(scope="module")
def photographs(folder):
    return data.Photographs(folder, smallest=64)


def jpeg_task(photographs, cameras, size=64):
    task = jpeg.JpegTask(PROFILES["tiny"], cameras, 0.5)
    task.photographs, task.batch_size, task.size = photographs, 2, size
    task._camera = camera.CameraFiles(cameras, photographs.device, size)
    return task


def image_task(photographs, noise=0.0):
    task = image.ImageTask("msp-tiny", msp.PROFILES["tiny"], noise=noise)
    task.photographs, task.batch_size, task.size = photographs, 2, 64
    task.advance(0.0, (Msp(msp.PROFILES["tiny"]),) * 2)
    return task


def new_step(task, rate=1e-3):
    torch.manual_seed(0)
    numbers = torch.Generator().manual_seed(0)
    model = task.build(None, numbers)
    return Step(task, model, copy.deepcopy(model).requires_grad_(False), numbers, rate), model


def plain_crop(photographs, u, noise, size, soft, altered):
    """Return a crop as a person would cut it: one by one, by slices and torch's own bicubic."""
    ends = np.cumsum([i.shape[0] * i.shape[1] for i in photographs.training])
    pixels = photographs.training[int(np.searchsorted(ends / ends[-1], u[0]))]
    cut = int(size / 3 ** u[4]) if soft else size
    top, left = (int(share * (n - cut + 1)) for share, n in zip(u[1:3], pixels.shape[:2]))
    pixels = pixels[top : top + cut, left : left + cut]
    pixels = pixels.flip(1) if u[3] < 0.5 else pixels
    if not altered:
        return pixels
    x = pixels.permute(2, 0, 1)[None].float()
    x = torch.nn.functional.interpolate(x, (size, size), mode="bicubic", align_corners=False)
    if u[7] < 0.1:
        x = (x - 60 - 140 * u[7] / 0.1) * 1.8 + 128
    if (soft or u[7] < 0.1) and u[5] < 0.5:
        x = x + 0.4 * 12 ** u[6] * (noise[None, :1] + 0.4 * noise[None, 1:])
    return x[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("enlarged", [None, 0, 20])
def test_crops_equal_those_of_plain_slices(photographs, enlarged):
    draws = data.Draws.zeros(48, data.CROP_DRAWS, 64).refill(torch.Generator().manual_seed(1))
    draws.uniform[::5, 7] /= 10
    crops = photographs.crops(draws, 64, enlarged)
    assert crops.shape == (48, 64, 64, 3) and crops.dtype == torch.uint8
    rows = draws.uniform.double().tolist()
    expected = torch.stack(
        [
            plain_crop(photographs, u, noise, 64, i < (enlarged or 0), enlarged is not None)
            for i, (u, noise) in enumerate(zip(rows, draws.normal))
        ]
    )
    difference = (crops.int() - expected.int()).abs()
    # Enlargement adds in another order: now and then a half is rounded the other way.
    assert difference.max() <= (1 if enlarged else 0) and (difference > 0).float().mean() < 1e-3


def test_equal_seeds_draw_equal_crops_and_others_do_not(photographs):
    def drawn(seed):
        draws = data.Draws.zeros(4, data.CROP_DRAWS, 64).refill(torch.Generator().manual_seed(seed))
        return photographs.crops(draws, 64, 2)

    assert torch.equal(drawn(3), drawn(3)) and not torch.equal(drawn(3), drawn(4))


def test_photographs_are_read_from_lic_files_too(folder, tmp_path):
    for file in folder.glob("*.jpg"):
        (tmp_path / f"{file.name}.lic").write_bytes(compress(file.read_bytes(), profile="native"))
    both = [data.Photographs(path, smallest=64) for path in (folder, tmp_path)]
    for name in ("training", "validation"):
        first, second = (getattr(photographs, name) for photographs in both)
        assert len(first) == len(second) > 0 and all(map(torch.equal, first, second))


def mirrored(blocks):
    """Return blocks `[rows, columns, 64]` of the mirrored picture, by way of squares of coefficients."""
    squares = np.zeros((*blocks.shape[:2], 8, 8), blocks.dtype)
    rows, columns = np.array(zigzag()).T
    squares[..., rows, columns] = blocks
    squares[..., 1::2] *= -1
    return squares[:, ::-1][..., rows, columns]


@pytest.mark.parametrize(("sampling", "ratio"), [("4:2:0", (1, 1)), ("4:2:2", (2, 1))])
def test_crops_of_cameras_are_the_coefficients_of_their_files(cameras, sampling, ratio):
    files = [(n, f) for n, f in data.members(cameras) if "0020" not in n and ("0002" in n) == (sampling == "4:2:2")]
    read = camera.CameraFiles(cameras, "cpu", 64)
    assert read.shares == {"4:2:0": 0.75, "4:2:2": 0.25}
    draws = data.Draws.zeros(32, camera.CAMERA_DRAWS).refill(torch.Generator().manual_seed(0))
    shape, tables, picture = read.crops(sampling, draws, 64)
    v, h = ratio
    assert shape == (sampling, (8, 8), (4 * v, 4 * h))
    for i, (pick, top, left, flip) in enumerate(draws.uniform.double().tolist()):
        frame, planes, _ = _native.jpeg_read(files[int(pick * len(files))][1])
        assert tables[i].tolist() == [list(c.quant) for c in frame.components]
        y, x = int(top * ((12 - 8) // 2 + 1)), int(left * ((16 - 8) // 2 + 1))
        ours = picture.luma, *reversed(picture.chroma)
        for plane, component, found, (rows, columns) in zip(planes, frame.components, ours, ((2, 2), ratio, ratio)):
            blocks = plane.reshape(component.blocks_h, component.blocks_w, 64)
            blocks = blocks[rows * y : rows * (y + 4), columns * x : columns * (x + 4)]
            assert (found[i].numpy() == (mirrored(blocks) if flip < 0.5 else blocks)).all()


def test_held_out_files_of_cameras_are_measured_against_their_bytes(photographs, cameras):
    task = jpeg_task(photographs, cameras)
    (example,) = jpeg.camera_examples(task._camera)
    (file,) = (f for name, f in data.members(cameras) if "0020" in name)
    assert example.jpeg_bytes == len(file) and example.pixels == 96 * 128
    bpp, saving, _ = jpeg.validate(new_step(task)[1], [example])
    assert saving == pytest.approx(100 * (1 - (bpp * 96 * 128 / 8 + 100) / len(file)))
    kinds = {sampling for flag, sampling in KINDS if flag}
    assert len(list(task.calibration_batches())) == 4 * (len(data.SAMPLING_SHARES) + len(kinds))


def test_cameras_files_are_named_when_they_cannot_be_read(tmp_path):
    (tmp_path / "Maker-0001-1.jpg").write_bytes(b"\xff\xd8 no picture")
    with pytest.raises(LicError, match=r"Maker-0001-1\.jpg, below .*, can't be read"):
        camera.CameraFiles(tmp_path, "cpu", 64)
    (tmp_path / "Maker-0001-1.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="no JPEG files of 64 pixels"):
        camera.CameraFiles(tmp_path, "cpu", 64)


#: Operations that wait for the device, copy from the host, or whose shape depends on values.
FORBIDDEN = {"_local_scalar_dense", "lift_fresh", "nonzero", "is_nonzero", "item", "unique", "masked_select"}


class Watch(TorchDispatchMode):
    """Notes operations that a CUDA graph can't hold."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        tensors = [x for x in args if isinstance(x, torch.Tensor)]
        # Other operations take a number from the host with their launch; this one copies it.
        copied = name == "where" and len({x.device for x in tensors}) > 1
        if name in FORBIDDEN or copied:
            self.found.add(name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", [*KINDS, "noise", "rounding"], ids=str)
def test_a_step_never_looks_at_the_host(photographs, cameras, kind):
    if isinstance(kind, str):
        task = image_task(photographs, float(kind == "noise"))
        kind = task.kind(torch.Generator())
    else:
        task = jpeg_task(photographs, cameras)
    step, _ = new_step(task)
    # The first makes what is kept: the optimizer's moments, constants.
    step(kind, 1.0, 0.9)
    with Watch() as watch:
        step(kind, 1.0, 0.9)
    assert not watch.found


@pytest.mark.parametrize("kind", [*KINDS, "images"], ids=str)
def test_batches_are_made_on_the_device_alone(photographs, cameras, kind):
    """On a pretended GPU: a tensor elsewhere, or a number that is asked for, would raise."""
    task = image_task(photographs) if kind == "images" else jpeg_task(photographs, cameras)
    draws, pretended = task.draws("cpu"), copy.copy(photographs)
    with FakeTensorMode(allow_non_fake_inputs=False) as mode:

        def moved(x):
            return mode.from_tensor(x).to("cuda")

        for name in ("_pixels", "_places", "_shares"):
            setattr(pretended, name, moved(getattr(photographs, name)))
        task.photographs = pretended
        for sampling, files in task._camera.training.items() if kind != "images" else ():
            task._camera.training[sampling] = camera.Files(
                [moved(plane) for plane in files.planes], moved(files.places), moved(files.tables)
            )
            task._camera._odd = (
                moved(task._camera._odd) if task._camera._odd.device.type == "cpu" else task._camera._odd
            )
        data.constants(torch.device("cuda", 0))
        try:
            with Watch() as watch:
                batch = task.batch(kind, data.Draws(*map(moved, draws)))
        finally:
            data.constants.cache_clear()
    tensors = batch if kind == "images" else (batch[1], batch[2].luma, *batch[2].chroma)
    assert {x.device.type for x in tensors} == {"cuda"} and not watch.found - {"lift_fresh"}


@pytest.mark.parametrize("make", [jpeg_task, lambda photographs, _: image_task(photographs)], ids=["jpeg", "image"])
def test_a_step_is_that_of_plain_adam(photographs, cameras, make, monkeypatch):
    monkeypatch.setattr(training_step, "CLIP", 0.1)
    task = make(photographs, cameras)
    step, model = new_step(task)
    plain, average = copy.deepcopy(model), copy.deepcopy(model)
    groups = [{"params": values, "lr": 1e-3 * factor} for values, factor in task.groups(plain)]
    optimizer = torch.optim.AdamW(groups, **task.ADAM)
    numbers, choice = torch.Generator(), torch.Generator().manual_seed(2)
    numbers.set_state(step._numbers.get_state())
    draws = task.draws("cpu")
    norms = []
    for _ in range(3):
        kind = task.kind(choice)
        step(kind, 1.0, 0.75)
        loss, _ = task.loss(plain, kind, task.batch(kind, draws.refill(numbers)))
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.1)))
        optimizer.step()
        for mean, value in zip(average.parameters(), plain.parameters()):
            mean.data.lerp_(value.data, 0.25)
    assert max(norms) > 0.1  # so that clipping took part
    for ours, theirs in ((model, plain), (step_average(step), average)):
        for (name, a), b in zip(ours.named_parameters(), theirs.parameters()):
            # Adam divides by a gradient's own size: what is all but zero moves as far as the rest, with either sign.
            assert (a - b).norm() <= 0.1 * (b - a.new_zeros(())).norm() + 1e-5, name


def step_average(step):
    model = copy.deepcopy(step._model)
    for value, mean in zip(model.parameters(), step._means):
        value.data.copy_(mean)
    return model


def test_gradients_that_are_not_finite_change_nothing(photographs, cameras, monkeypatch):
    step, model = new_step(jpeg_task(photographs, cameras))
    kind = (True, "4:2:0")
    step(kind, 1.0, 0.9)
    assert math.isfinite(step.look())
    before = [value.detach().clone() for value in model.parameters()]
    loss = step._task.loss
    monkeypatch.setattr(step._task, "loss", lambda *given: tuple(x * math.nan for x in loss(*given)))
    step(kind, 1.0, 0.9)
    assert all(map(torch.equal, before, model.parameters())) and step.look() == math.inf
    monkeypatch.undo()
    step(kind, 1.0, 0.9)
    assert not all(map(torch.equal, before, model.parameters()))
    step.back()
    assert all(map(torch.equal, step._means, model.parameters()))
    assert not any(value.any() for state in step.optimizer.state.values() for value in state.values())


def test_the_guard_acts_on_a_rise_and_on_nothing_else():
    noise = np.random.default_rng(0).normal(0, 0.3, 400)
    falling = Guard()
    assert not any(falling.risen(5 - 0.002 * i + x) for i, x in enumerate(noise))
    rising = Guard()
    acted = [i for i, x in enumerate(noise) if rising.risen(5 + (i > 200) * 2 + x)]
    assert acted[0] in range(200, 200 + 2 * Guard.WINDOW) and rising.factor == Guard.LEAST_FACTOR and len(acted) == 3
    assert Guard().risen(math.inf) and not Guard(Guard.LEAST_FACTOR).risen(math.nan)
    rising.factor = 1.0
    rising.reset()
    assert not any(rising.risen(7 + x) for x in noise)


def test_a_run_goes_back_to_the_average_when_its_guard_acts(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Guard, "WINDOW", 2)
    looks = iter([1.0, 1.0, 9.0, 9.0])
    monkeypatch.setattr(Step, "look", lambda self: next(looks))
    trained(training.train_jpeg, folder, tmp_path, steps=4, batch=1, crop=64, profile="tiny", device="cpu")
    assert '{"back_to_the_average": 4, "factor": 0.5}' in capsys.readouterr().out
    saved = parts.read_checkpoint(tmp_path / "checkpoint.pt", "cpu")
    assert saved["factor"] == 0.5
    learned = dict(Mlcc(PROFILES["tiny"]).named_parameters())
    assert all(torch.equal(saved["model"][name], saved["average"][name]) for name in learned)


def test_tf32_ends_with_its_block():
    """For products and convolutions."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    settings = [(matmul, "allow_tf32"), (cudnn, "allow_tf32")]
    if hasattr(matmul, "fp32_precision"):
        settings = [(matmul, "fp32_precision"), (cudnn.conv, "fp32_precision")]
    before = [getattr(*setting) for setting in settings]
    with tf32():
        assert all(getattr(*setting) in ("tf32", True) for setting in settings)
    assert [getattr(*setting) for setting in settings] == before


def test_bfloat16_stays_inside_blocks(photographs):
    task = image_task(photographs)
    _, model = new_step(task)
    for transform in (model.g_a, model.g_s):
        torch.nn.init.normal_(transform.blocks[0].conv1x1.weight, std=0.01)
    batch = task.batch(None, task.draws("cpu").refill(torch.Generator().manual_seed(0)))
    plain = task.loss(model, None, batch)[0]
    kinds = {}
    for transform in (model.g_a, model.g_s):
        for layer in (transform.first, transform.last, transform.blocks[0].conv3x3, transform.blocks[0]):
            layer.register_forward_hook(lambda layer, _, out: kinds.update({layer: out.dtype}))
    task.lower_precision(model)
    halved = task.loss(model, None, batch)[0]
    for transform in (model.g_a, model.g_s):
        inside = transform.blocks[0].conv3x3
        assert kinds.pop(inside) == torch.bfloat16
    assert set(kinds.values()) == {torch.float32}
    assert 0 < abs(float((halved - plain).detach())) < 0.01 * float(plain.detach())


def test_blocks_in_bfloat16_use_the_weights_of_each_step(photographs):
    """Also in the state that a training runs in, which turns autocast off around the blocks' own."""
    task = image_task(photographs)
    _, model = new_step(task)
    task.lower_precision(model)
    batch = task.batch(None, task.draws("cpu").refill(torch.Generator().manual_seed(0)))
    with known_state(grad=True):
        before = float(task.loss(model, None, batch)[1])
        with torch.no_grad():
            model.g_s.blocks[0].conv1x1.weight.normal_(std=1)
        assert float(task.loss(model, None, batch)[1]) > 1.1 * before


def test_parts_hold_a_model_in_16_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_BYTES", 200_000)
    monkeypatch.setattr(parts, "MARGIN", 40_000)
    model = Msp(msp.PROFILES["tiny"])
    model.prior.deviation_levels.fill_(77)
    paths = parts.save(tmp_path, "msp-tiny", model, steps=5)
    assert len(paths) > 3 and max(path.stat().st_size for path in paths) < 200_000
    name, read, notes = parts.load(tmp_path)
    assert (name, notes, read.config) == ("msp-tiny", {"steps": 5}, msp.PROFILES["tiny"])
    state = read.state_dict()
    learned = {name for name, _ in model.named_parameters()}
    for key, value in model.state_dict().items():
        assert torch.equal(state[key], value.half().to(value.dtype) if key in learned else value)

    # Fewer parts replace more; parts of two runs do not belong together.
    fourth = (tmp_path / "average-3.pt").read_bytes()
    monkeypatch.setattr(parts, "PART_BYTES", 500_000)
    assert len(parts.save(tmp_path, "msp-tiny", model, steps=6)) == len(list(tmp_path.glob("average-*"))) < len(paths)
    parts.load(tmp_path)
    (tmp_path / "average-3.pt").write_bytes(fourth)
    with pytest.raises(CorruptError, match="not the parts of one model"):
        parts.load(tmp_path)
    (tmp_path / "average-3.pt").unlink()
    (tmp_path / "average-1.pt").unlink()
    with pytest.raises(CorruptError, match=r"average-\*\.pt in .* can't be read"):
        parts.load(tmp_path)
    (tmp_path / "average-0.pt").write_bytes(b"cut")
    with pytest.raises(CorruptError, match=r"average-0\.pt can't be read"):
        parts.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="the parts that a training writes"):
        parts.load(tmp_path / "nowhere")


def test_a_run_of_seconds_ends_in_time(folder, tmp_path, monkeypatch):
    """By a clock that only validations, of which the last is the slowest, steps, and loading move."""
    now, validations = [1000.0], iter([3.0, 3.5, 4.0, 4.5, 5.0])
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def spend(seconds, result=None):
        now[0] += seconds
        return result

    monkeypatch.setattr(Step, "__call__", lambda *_: spend(0.25))
    monkeypatch.setattr(Step, "look", lambda *_: 1.0)
    monkeypatch.setattr(jpeg.JpegTask, "validate", lambda *_: spend(next(validations), (1.0, {})))
    options = training.Options(folder, tmp_path, seconds=60, batch=1, crop=64, device="cpu", report_minutes=0.2)
    object.__setattr__(options, "began", 995.0)
    training.train_jpeg(options, profile="tiny")
    # It ends before 60 seconds are over, and does not waste them.
    assert 995 + 50 < now[0] <= 995 + 60
    assert len((tmp_path / "curve.csv").read_text().splitlines()) == 5 and parts.load(tmp_path)[2]["steps"] > 100


def test_a_run_of_seconds_leaves_parts_which_are_exported_elsewhere(folder, cameras, tmp_path, capsys):
    options = {"batch": 1, "crop": 64, "profile": "tiny", "device": "cpu", "camera": cameras, "seed": 1}
    trained(training.train_jpeg, folder, tmp_path / "run", seconds=20, **options)
    rows = (tmp_path / "run" / "curve.csv").read_text().splitlines()
    assert rows[0].endswith("camera_bpp,camera_saving_percent")
    assert [int(row.split(",")[1]) > 0 for row in rows[1:]] == [False, True]
    # The picture of the curve is drawn where matplotlib is installed.
    assert {path.name for path in (tmp_path / "run").iterdir()} - {"curve.png"} == {"average-0.pt", "curve.csv"}

    # It goes home: exported by a command, and begun from by another run.
    command = ["train", "export", tmp_path / "run", "--data", folder, "--camera", cameras, "--device", "cpu"]
    capsys.readouterr()
    result = CliRunner().invoke(cli.app, [*map(str, command), "--limit", "28"], catch_exceptions=False)
    assert result.exit_code == 0 and '"camera_saving_percent"' in result.output
    exact = Mlcc.load(tmp_path / "run" / "mlcc.weights")
    trained(training.train_jpeg, folder, tmp_path / "next", steps=1, start=tmp_path / "run", rate=0.0, **options)
    # At a rate of 0 the weights stay, but for the sign of zeros.
    same = Mlcc.load(tmp_path / "next" / "mlcc.weights").state_dict()
    assert all(torch.equal(value, same[name]) for name, value in exact.state_dict().items())


def test_a_run_of_seconds_that_are_too_few_trains_nothing(folder, tmp_path):
    trained(training.train_image, folder, tmp_path, seconds=0.1, batch=1, crop=64, profile="tiny", device="cpu")
    assert len((tmp_path / "curve.csv").read_text().splitlines()) == 2
    assert parts.load(tmp_path)[2] == {"steps": 0, "crop": 64}


def test_what_is_packed_trains_elsewhere(folder, cameras, tmp_path):
    """In a process that has no other lic_native, and by its own few options."""
    model = Mlcc(PROFILES["tiny"])
    (tmp_path / "begun").mkdir()
    parts.save(tmp_path / "begun", "mlcc", model)
    room = 20
    skip = training.pack(tmp_path / "out", folder, start=tmp_path / "begun", camera=cameras, skip=20, mebibytes=room)
    assert skip == 20  # all fit, and the first is the 20th again
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= room * 2**20
    names = {path.relative_to(tmp_path / "out").parts[0] for path in files}
    assert names == {"package", "start", "photographs", "camera"}
    assert not [path for path in files if path.suffix in (".pyi", ".pyc", ".weights")]
    packed = data.Photographs(tmp_path / "out" / "photographs", smallest=64)
    whole = data.Photographs(folder, smallest=64)
    assert sorted(map(hash_of, packed.training)) == sorted(map(hash_of, whole.training))

    command = (
        "jpeg --data photographs --camera camera --camera-share 0.5 --start start --out run --profile tiny --seed 1"
    )
    command += " --steps 1 --batch 1 --crop 64 --device cpu --no-bf16"
    subprocess.run(
        [sys.executable, "-m", "lic_native.training", *command.split()],
        cwd=tmp_path / "out",
        env={**os.environ, "PYTHONPATH": "package", "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=300,
    )
    assert parts.load(tmp_path / "out" / "run")[2]["steps"] == 1


def test_a_pack_keeps_its_limit(folder, tmp_path):
    training.pack(tmp_path / "all", folder)
    size = sum(path.stat().st_size for path in (tmp_path / "all").rglob("*") if path.is_file())
    limit = (size - 30_000) / 2**20
    skip = training.pack(tmp_path / "less", folder, mebibytes=limit)
    assert 0 < skip < 28
    assert sum(path.stat().st_size for path in (tmp_path / "less").rglob("*") if path.is_file()) <= limit * 2**20
    with pytest.raises(FileExistsError):
        training.pack(tmp_path / "less", folder)


def hash_of(pixels):
    return pixels.numpy().tobytes()


def test_all_crops_have_their_place_even_at_the_largest_draws(photographs, cameras):
    """Numbers next to 1 must not lead beyond a photograph's end, which would be another's begin."""
    last = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))
    draws = data.Draws(torch.full((2, data.CROP_DRAWS), float(last)), torch.zeros(2, 4, 64, 64))
    crop = photographs.crops(draws, 64)[0]
    assert torch.equal(crop, photographs.training[-1][-64:, -64:])
    files = camera.CameraFiles(cameras, "cpu", 64)
    for sampling in files.training:
        files.crops(sampling, draws, 64)
