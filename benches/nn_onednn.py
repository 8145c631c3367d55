"""Multiplications per second of the layers of `benches/nn.rs` as torch computes them with oneDNN, on one thread.

    python benches/nn_onednn.py && cargo bench --bench nn

The layers are those of profiles `fast` and `best`. oneDNN multiplies 32-bit floats, the engine 16-bit integers.
"""

import time
from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional

#: Positions that are multiplied at once, as in `benches/nn.rs`.
N = 64
LINEAR = [(96, 96), (96, 576), (126, 64), (64, 140), (61, 2), (256, 256), (256, 1584), (126, 176), (176, 140)]
CONVOLUTIONS = [(210, 117), (266, 74), (64, 64), (210, 284)]


def rate(work: Callable[[], object], products: int) -> float:
    """Return thousand millions of multiplications per second of processor time, the best of several rounds."""
    best = float("inf")
    for _ in range(20):
        start, runs = time.process_time(), 0
        while time.process_time() - start < 0.02:
            work()
            runs += 1
        best = min(best, (time.process_time() - start) / runs)
    return products / best / 1e9


def main() -> None:
    torch.set_num_threads(1)
    print(torch.__version__, "oneDNN" if torch.backends.mkldnn.is_available() else "without oneDNN")
    with torch.inference_mode():
        for inputs, outputs in LINEAR:
            x, weight = torch.randn(N, inputs).to_mkldnn(), torch.randn(outputs, inputs).to_mkldnn()
            speed = rate(partial(functional.linear, x, weight), N * inputs * outputs)
            print(f"linear {inputs} to {outputs}: {speed:.1f} GMAC/s")
        for inputs, outputs in CONVOLUTIONS:
            # One row of results, of three rows of inputs.
            x, weight = torch.randn(1, inputs, 3, N), torch.randn(outputs, inputs, 3, 3)
            convolve = partial(functional.conv2d, x, weight, padding=(0, 1))
            speed = rate(convolve, 9 * N * inputs * outputs)
            print(f"3x3 {inputs} to {outputs}: {speed:.1f} GMAC/s")


if __name__ == "__main__":
    main()
