"""One Ctrl-C ends any long call soon."""

import io
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

import lic_native
from lic_native import Decoder, Encoder, Gaussian, Mixture, jpeg, threads

#: Code that makes the arguments of a call, and the call, which takes a second or more.
CALLS = {
    "compress": ("data = open('large.jpg', 'rb').read()", "jpeg.compress(data, profile='native')"),
    "decompress": ("data = open('coded.lic', 'rb').read()", "jpeg.decompress(data, threads=1)"),
    "read_coefficients": ("data = open('large.jpg', 'rb').read()", "jpeg.read_coefficients(data)"),
    "store": ("data = np.random.default_rng(0).integers(0, 64, 1 << 28, np.uint8).tobytes()", "jpeg.compress(data)"),
    "network": (
        "jpeg.compress(jpeg_bytes(64, 64), profile='best'); data = jpeg_bytes(1500, 1500)",
        "jpeg.compress(data, profile='best')",
    ),
    "LOF": (
        "pixels = photograph(32, 32); image.compress(pixels, profile='fast', lof=1)",
        "image.compress(pixels, profile='fast', lof=20)",
    ),
    "encode a tensor": ("x = numbers(27)", "lic_native.encode(x)"),
    "encode by a Gaussian": ("x = numbers(29)", "lic_native.encode(x, Gaussian(0.0, 9.0), threads=1)"),
    "encode by a mixture": ("x = numbers(26)", "lic_native.encode(x, mixed, threads=2)"),
    "tables": ("scales = np.linspace(100, 512, 6000)", "Tables.gaussian(scales)"),
    "put": ("x = numbers(26)", "Encoder().put(x, mixed)"),
}
SHARED = ["compress", "network", "LOF", "tables"]
PREAMBLE = """
import os, signal, threading, time
import lic_native
import numpy as np
from conftest import jpeg_bytes, photograph
from lic_native import Encoder, Gaussian, Mixture, Tables, image, jpeg, threads
def numbers(log2):
    return np.resize(np.random.default_rng(0).normal(0, 9, 1 << 20).round().astype(np.int8), 1 << log2)
mixed = Mixture([Gaussian(0.0, 2.0), Gaussian(0.0, 20.0)], [0.5, 0.5])
"""


def noise(side: int) -> bytes:
    """Return a JPEG file of about a byte for each pixel."""
    tile = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.tile(tile, (side // 512, side // 512, 1))).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("interrupts")
    (folder / "large.jpg").write_bytes(noise(6144))
    (folder / "coded.lic").write_bytes(jpeg.compress(noise(5120), profile="native"))
    return folder


def start(folder, code: str) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + code],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": ""},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
@pytest.mark.parametrize(("call", "shared"), [*((call, False) for call in CALLS), *((call, True) for call in SHARED)])
def test_a_signal_ends_a_call_before_its_end(folder, call, shared):
    """The call runs in the main thread, or in two threads that share work.

    The signal comes after a tenth of the processor time that the call takes, and processor time is compared, so that it
    does not matter what else the machine does.
    """
    setup, code = CALLS[call]
    code = f"""
{setup}
def work(_=None):
    return {code}
def run():
    threads.share(work, [0, 1], 2) if {shared} else work()
def stop():
    while time.process_time() - start < whole / 10:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
start = time.process_time()
run()
whole = time.process_time() - start
start = time.process_time()
threading.Thread(target=stop).start()
try:
    run()
except KeyboardInterrupt:
    print(whole, time.process_time() - start)
"""
    with start(folder, code) as process:
        out, err = process.communicate(timeout=300)
    assert out, err
    whole, interrupted = map(float, out.split())
    assert interrupted < 0.6 * whole


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
@pytest.mark.parametrize("call", ["compress", "LOF"])
def test_ctrl_c_ends_a_process(folder, call):
    setup, code = CALLS[call]
    with start(folder, f"{setup}\nprint('ready', flush=True)\nwhile True:\n    {code}") as process:
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.4)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (out, process.returncode) == (b"", -signal.SIGINT) and err.rstrip().endswith(b"KeyboardInterrupt"), err


def interrupted(call) -> None:
    """Stop a call, which takes a second or more, while it runs."""
    group = threads.Group()
    timer = threading.Timer(0.1, group.stop)
    timer.start()
    with group.joined(), pytest.raises(KeyboardInterrupt):
        call()
    timer.join()


def test_an_interrupted_coder_keeps_its_state():
    few, many = np.arange(-8, 8), np.resize(np.arange(-20, 20, dtype=np.int8), 1 << 25)
    quick, slow = Gaussian(0.0, 9.0), Mixture([Gaussian(0.0, 2.0), Gaussian(0.0, 20.0)], [0.5, 0.5])
    encoder = Encoder()
    encoder.put(few, quick)
    interrupted(lambda: encoder.put(many, slow))
    encoder.put(many, slow)
    decoder = Decoder(encoder.finish())
    assert (decoder.get(quick, out=np.empty_like(few, np.int32)) == few).all()
    out = np.empty_like(many)
    interrupted(lambda: decoder.get(slow, out=out))
    assert (decoder.get(slow, out=out) == many).all()
    decoder.finish()


def test_a_signal_handler_may_raise_and_encode():
    """A signal's handler may raise any exception and call the library, also during another call."""
    if threading.current_thread() is not threading.main_thread() or sys.platform == "win32":
        pytest.skip("signals go to the main thread")
    coded = []

    def handle(*_):
        coded.append(lic_native.encode(np.arange(99)))
        if len(coded) == 2:
            raise ValueError("the second")

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
        with pytest.raises(ValueError, match="the second"):
            lic_native.Tables.gaussian(np.linspace(100, 512, 6000))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert coded == [lic_native.encode(np.arange(99))] * 2
