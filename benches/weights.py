"""Measure how many bits a weight needs: files of one model, with its weights on coarser and coarser grids.

    python benches/weights.py mlcc-fast runs/fast/mlcc.weights photographs/*.jpg --bits exact=7 --bits exact=6
    python benches/weights.py msp-fast runs/fast/msp-fast.weights kodak/*.png --bits blocks=5,outer=9

The weights must be finer than what is tried: trained with higher constants, or those of release 0.1.0, converted as
docs/training.md shows. The first line is of the weights as they are. JPEG files show the saving, images the bytes and
the PSNR at quality 8.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lic_native import image, jpeg
from lic_native.models import bls2017, mlcc, msp, registry
from lic_native.nn import exact, transforms

CONSTANTS = {
    "exact": (exact, "WEIGHT_BITS"),
    "blocks": (transforms, "BLOCK_BITS"),
    "outer": (transforms, "OUTER_BITS"),
    "bls2017": (bls2017, "WEIGHT_BITS"),
}
MODELS = {"mlcc": mlcc.Mlcc, "msp": msp.Msp, "bls2017": bls2017.Bls2017}


def measure_jpeg(profile: str, paths: list[Path]) -> str:
    files = [path.read_bytes() for path in paths]
    small = sum(len(jpeg.compress(data, profile=profile, device="cpu")) for data in files)
    return f"{small} bytes, saving {100 - 100 * small / sum(map(len, files)):.3f} %"


def measure_image(profile: str, paths: list[Path]) -> str:
    size, psnr = 0, []
    for path in paths:
        with Image.open(path) as file:
            pixels = np.asarray(file.convert("RGB"))
        data = image.compress(pixels, profile=profile, quality=8, device="cpu")
        restored = np.asarray(image.decompress(data, device="cpu"), float)
        size += len(data)
        psnr.append(10 * np.log10(255**2 / np.square(restored - pixels).mean()))
    return f"{size} bytes, {np.mean(psnr):.4f} dB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", choices=[name for name in registry.NUMBERS if not name.startswith("native")])
    parser.add_argument("weights", type=Path)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--bits", action="append", default=[], help="constants: exact, blocks, outer, bls2017")
    arguments = parser.parse_args()
    is_jpeg = arguments.model in registry.PROFILES.values()
    measure, profiles = (measure_jpeg, registry.PROFILES) if is_jpeg else (measure_image, registry.IMAGE_PROFILES)
    profile = next(profile for profile, name in profiles.items() if name == arguments.model)
    for bits in ["", *arguments.bits]:
        model = MODELS[arguments.model.partition("-")[0]].load(arguments.weights)
        for setting in filter(None, bits.split(",")):
            name, value = setting.split("=")
            setattr(*CONSTANTS[name], int(value))
        with torch.no_grad(), tempfile.NamedTemporaryFile(suffix=".weights") as file:
            if bits:
                model._quantize_weights()
            model.save(file.name)
            size = Path(file.name).stat().st_size
        registry._load = lambda *_, model=model: model
        count = sum(value.numel() for value in model.state_dict().values())
        result = measure(profile, arguments.files)
        weights = f"{size} bytes of weights, {8 * size / count:.2f} bits each"
        print(f"{bits or 'as they are'}: {weights}; {result}", flush=True)


if __name__ == "__main__":
    main()
