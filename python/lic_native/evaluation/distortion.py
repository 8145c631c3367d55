"""Distance of a restored image from the original. Images are uint8 RGB arrays `[height, width, 3]`."""

from __future__ import annotations

import math
from importlib import import_module

import numpy as np

__all__ = ["MS_SSIM_SIDE", "decibels", "ms_ssim", "psnr"]

#: Least side of an image, in pixels, for the five scales of MS-SSIM with windows of 11 pixels.
MS_SSIM_SIDE = 10 * 2**4 + 1


def psnr(original: np.ndarray, restored: np.ndarray) -> float:
    """Return the PSNR over all samples of all channels, in dB; infinity for equal images."""
    error = np.mean((original.astype(np.float64) - restored) ** 2)
    return 10 * math.log10(255**2 / error) if error else math.inf


def ms_ssim(original: np.ndarray, restored: np.ndarray) -> float | None:
    """Return the mean MS-SSIM of the channels, 0 to 1, or None for smaller images. Needs pytorch-msssim."""
    if min(original.shape[:2]) < MS_SSIM_SIDE:
        return None
    import torch

    pair = [torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None] for image in (original, restored)]
    return float(import_module("pytorch_msssim").ms_ssim(*pair, data_range=255))


def decibels(similarity: float) -> float:
    """Return an MS-SSIM in decibels, which spread good values apart; infinity for equal images."""
    return -10 * math.log10(1 - similarity) if similarity < 1 else math.inf
