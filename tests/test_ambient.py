"""Calls give equal results in every state of torch and NumPy, and leave the state unchanged."""

import io
import locale
import os
import subprocess
import sys
import threading
import warnings
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch
from conftest import jpeg_bytes, networks_alone, photograph
from PIL import Image
from torch.overrides import TorchFunctionMode

from lic_native import image, jpeg
from lic_native.models import registry
from lic_native.nn.ambient import known_state

JPEG = jpeg_bytes(40, 56)
PIXELS = photograph(16, 24)


@contextmanager
def changed(get, set_, value):
    """Change a setting within a `with` block."""
    before = get()
    set_(value)
    try:
        yield
    finally:
        set_(before)


@contextmanager
def restored(enter, leave):
    enter()
    try:
        yield
    finally:
        leave()


class Counting(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


@contextmanager
def fine_precision(value):
    """Change the precision of float32 products, by the interface of torch 2.9 and later."""
    backends = [torch.backends.cuda.matmul, torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv]
    if not hasattr(backends[0], "fp32_precision"):
        pytest.skip("this torch has one precision for all backends")
    for backend in backends[1:]:
        backend.fp32_precision = value
    try:
        yield
    finally:
        for backend in backends[1:]:
            backend.fp32_precision = "none"


def everywhere(value):
    """Change the precision of float32 products of all libraries at once."""
    if not hasattr(torch.backends, "fp32_precision"):
        pytest.skip("this torch has no such switch")
    return changed(
        lambda: torch.backends.fp32_precision, lambda value: setattr(torch.backends, "fp32_precision", value), value
    )


def dtype(value):
    return changed(torch.get_default_dtype, torch.set_default_dtype, value)


#: Contexts that change the state.
STATES = {
    "none": nullcontext,
    "default float64": lambda: dtype(torch.float64),
    "default bfloat16": lambda: dtype(torch.bfloat16),
    "default float16": lambda: dtype(torch.float16),
    "default device meta": lambda: restored(
        lambda: torch.set_default_device("meta"), lambda: torch.set_default_device(None)
    ),
    "within device meta": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "autocast float16": lambda: torch.autocast("cpu", torch.float16),
    "inference mode": torch.inference_mode,
    "no grad": torch.no_grad,
    "enable grad": torch.enable_grad,
    "set grad enabled": lambda: torch.set_grad_enabled(False),
    "deterministic": lambda: changed(
        torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True
    ),
    "two threads": lambda: changed(torch.get_num_threads, torch.set_num_threads, 2),
    "medium precision": lambda: changed(
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"
    ),
    "bf16 products": lambda: fine_precision("bf16"),
    "TF32 wherever torch has it": lambda: everywhere("tf32"),
    "TF32 by the older switch": lambda: changed(
        lambda: torch.backends.cuda.matmul.allow_tf32,
        lambda value: setattr(torch.backends.cuda.matmul, "allow_tf32", value),
        True,
    ),
    "cuDNN chooses by time": lambda: torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=True),
    "without oneDNN": lambda: torch.backends.mkldnn.flags(enabled=False),
    "flush denormals": lambda: restored(
        lambda: torch.set_flush_denormal(True), lambda: torch.set_flush_denormal(False)
    ),
    "a function mode": Counting,
    "NumPy raises": lambda: np.errstate(all="raise"),
    "NumPy prints": lambda: np.printoptions(precision=1, threshold=1, legacy="1.13"),
    "warnings raise": lambda: warnings_raise(),
    "anomalies": lambda: torch.autograd.set_detect_anomaly(True, check_nan=False),
    "another locale": lambda: changed(
        lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name), "C"
    ),
}  # fmt: skip


#: States that do not affect how a model is loaded.
ALIKE = {"none", "two threads", "enable grad", "set grad enabled", "NumPy prints", "anomalies", "another locale"}


@contextmanager
def warnings_raise():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def state() -> dict[str, object]:
    """Return all settings that a call could have changed."""
    matmul = torch.backends.cuda.matmul
    fine = (
        [matmul, torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv] if hasattr(matmul, "fp32_precision") else []
    )
    return {
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "other precision": (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark),
        "autocast": (
            torch.is_autocast_enabled("cpu"),
            torch.get_autocast_dtype("cpu"),
            torch.is_autocast_enabled("cuda"),
        ),
        "inference": torch.is_inference_mode_enabled(),
        "grad": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "threads": torch.get_num_threads(),
        "threads of a new thread": in_a_thread(torch.get_num_threads),
        "precision": [backend.fp32_precision for backend in fine] or torch.get_float32_matmul_precision(),
        "oneDNN": torch.backends.mkldnn.enabled,
        "denormals": sys.float_info.min / 2,
        "numpy": (np.geterr(), np.get_printoptions()),
        "random": (torch.random.get_rng_state().tolist(), str(np.random.get_state())),
        "filters": list(warnings.filters),
    }


def in_a_thread(work):
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def packed_jpeg() -> bytes:
    with networks_alone(on_torch=True):
        return jpeg.compress(JPEG, profile="fast", device="cpu")


def restored_jpeg() -> bytes:
    with networks_alone(on_torch=True):
        return jpeg.decompress(SMALL["jpeg"], device="cpu")


def packed_image(profile, lof=0):
    return lambda: image.compress(PIXELS, profile=profile, device="cpu", lof=lof)


def shown(profile):
    return lambda: np.asarray(image.decompress(SMALL[profile], device="cpu"))


def latents():
    return image.latents(SMALL["fast"], device="cpu")


#: Compressed files, made once in the default state.
SMALL: dict[str, bytes] = {}
CALLS = {
    "jpeg.compress": packed_jpeg,
    "jpeg.decompress": restored_jpeg,
    "image.compress": packed_image("fast"),
    "image.compress with lof": packed_image("fast", 16),
    "image.compress, bls2017": packed_image("bls2017"),
    "image.decompress": shown("fast"),
    "image.decompress, bls2017": shown("bls2017"),
    "image.latents": latents,
}


@pytest.fixture(scope="module")
def expected():
    SMALL.update(jpeg=packed_jpeg(), fast=packed_image("fast")(), bls2017=packed_image("bls2017")())
    return {name: call() for name, call in CALLS.items()}


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN", "ignore:Anomaly Detection")
@pytest.mark.parametrize("name", STATES)
def test_calls_neither_depend_on_the_state_nor_change_it(expected, name):
    """The models have been loaded before."""
    with STATES[name]():
        before = state()
        for call, function in CALLS.items():
            # On a busy machine overfitting with two threads is slow, and its result is the same only on one machine.
            if (name, call) != ("two threads", "image.compress with lof"):
                assert np.array_equal(function(), expected[call]), call
                assert state() == before, call


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN", "ignore:Anomaly Detection")
@pytest.mark.parametrize("name", [name for name in STATES if name not in ALIKE])
def test_models_that_were_loaded_in_any_state_work_in_the_default_state(expected, name):
    registry._load.cache_clear()
    with STATES[name]():
        before = state()
        registry.load("mlcc-fast", "cpu")
        for model in ("msp-fast", "bls2017"):
            registry.load_image(model, "cpu")
        assert state() == before
    for call in ("jpeg.compress", "image.compress with lof", "image.decompress, bls2017"):
        assert np.array_equal(CALLS[call](), expected[call]), call


def test_a_model_of_fake_tensors_is_not_cached():
    fake = pytest.importorskip("torch._subclasses.fake_tensor")
    registry._load.cache_clear()
    with fake.FakeTensorMode(), pytest.raises(Exception):  # noqa: B017 (whatever torch raises)
        image.compress(PIXELS, profile="fast", device="cpu")
    assert image.compress(PIXELS, profile="fast", device="cpu")


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")
@pytest.mark.parametrize("name", ["none", "medium precision", "TF32 wherever torch has it", "TF32 by the older switch"])
def test_no_library_has_less_than_float32_in_the_known_state(monkeypatch, name):
    """Of cuDNN, whose default is TF32, where CUDA is in use."""
    backends = torch.backends
    if not hasattr(backends, "fp32_precision"):
        pytest.skip("this torch has one precision for all libraries")
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    products = [backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv]
    with STATES[name]():
        before = [product.fp32_precision for product in products]
        assert "tf32" in before
        with known_state():
            assert {product.fp32_precision for product in products} <= {"none", "ieee"}
        assert [product.fp32_precision for product in products] == before


def test_denormals_are_kept_in_the_known_state():
    with STATES["flush denormals"]():
        assert sys.float_info.min / 2 == 0
        with known_state():
            assert sys.float_info.min / 2 > 0
        assert sys.float_info.min / 2 == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_works():
    """The child lacks the threads of torch, and must not wait for them."""
    code = """if True:
        import os, sys, warnings
        warnings.simplefilter("ignore")
        import torch
        from conftest import jpeg_bytes, photograph
        from lic_native import image, jpeg
        torch.set_num_threads(2)
        pixels, data = photograph(96, 96), jpeg_bytes(64, 64)
        small = image.compress(pixels, profile="fast", device="cpu")
        jpeg.compress(data, profile="fast", device="cpu")
        child = os.fork()
        if not child:
            same = image.compress(pixels, profile="fast", device="cpu") == small
            jpeg.compress(data, profile="fast", device="cpu")
            os._exit(0 if same else 1)
        assert os.waitpid(child, 0)[1] == 0 and torch.get_num_threads() == 2
    """
    here = os.path.dirname(__file__)
    paths = os.pathsep.join([here, *filter(None, sys.path)])
    subprocess.run([sys.executable, "-c", code], check=True, timeout=90, env=os.environ | {"PYTHONPATH": paths})


def test_the_expected_results_are_plausible(expected):
    """The expected results differ between ways of compression, and decode to nearly the same picture."""
    assert expected["image.compress"] != expected["image.compress with lof"]
    shown = np.asarray(Image.fromarray(expected["image.decompress"]))
    assert shown.shape == PIXELS.shape and np.abs(shown.astype(int) - PIXELS).mean() < 20
    assert expected["jpeg.decompress"] == JPEG and len(io.BytesIO(expected["jpeg.compress"]).getvalue()) < len(JPEG)
