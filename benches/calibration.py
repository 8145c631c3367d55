"""Measure what calibration saves, as Markdown tables.

    python benches/calibration.py jpeg FOLDER
    python benches/calibration.py images --quality 2 --quality 5 FOLDER ...
    python benches/calibration.py tensors --quality 5 FOLDER ...

Every tile is coded twice in one walk, with calibration and without.
"""

import argparse
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import lic_native
from lic_native import _native, jpeg
from lic_native.coding.coder import Params, StreamEncoder
from lic_native.coding.mixture import Mixture, to_params
from lic_native.errors import LicError
from lic_native.evaluation.report import markdown
from lic_native.image.analysis import Analysis
from lic_native.image.overfitting import TileSearch
from lic_native.image.torch_coder import walk
from lic_native.jpeg import coders
from lic_native.jpeg.tiles import Grids, block_count
from lic_native.jpeg.torch_network import model_input
from lic_native.limits import DEFAULT_LIMITS
from lic_native.models import registry
from lic_native.models.base import ImageModel
from lic_native.models.bls2017 import Bls2017
from lic_native.models.mlcc import Mlcc
from lic_native.models.rate_points import index_of
from lic_native.nn.ambient import known_state


class Both:
    """A coder that encodes without calibration and with it."""

    def __init__(self) -> None:
        self.encoders = [StreamEncoder(calibrate=calibrate) for calibrate in (False, True)]

    def code(self, params: Params, symbols: Tensor | None) -> Tensor:
        plain, _ = (encoder.code(params, symbols) for encoder in self.encoders)
        return plain

    def streams(self) -> list[bytes]:
        return [encoder.finish()[0] for encoder in self.encoders]


def picture_bytes(model: Mlcc, profile: str, frame: _native.Frame, planes: list[np.ndarray]) -> list[int]:
    """Return the bytes of a picture's coefficients: by the context coder; by the network; by it with calibration.

    The network's are endless where the profile does not try it.
    """
    context, *network = coders.coders_for(frame, profile, "cpu")
    native = len(context.encode(frame, planes)[0])
    if not network or 8 * native < coders.BLANK_BITS * block_count(frame):
        return [native, 1 << 60, 1 << 60]
    tiles: list[list[bytes]] = []
    for tile in Grids(frame, planes).tiles:
        both = Both()
        model.run(both, *model_input([tile]))
        tiles.append(both.streams())
    return [native, *(len(_native.join_streams(streams)) for streams in zip(*tiles))]


def file_bytes(model: Mlcc, profile: str, data: bytes) -> list[int] | None:
    """Return sizes of a file in bytes, and numbers of its pictures; None if the file is only stored.

    These are the sizes of the file itself, by `native`, and by the profile without calibration and with it; then,
    without and with it, the number of pictures that `native` codes shortest, and their bytes; the number of pictures.
    """
    by_native = jpeg.compress(data, profile="native")
    info = jpeg.inspect(by_native)
    if not isinstance(info, jpeg.JpegInfo):
        return None
    pictures, reconstruction = _native.carve_read(data, DEFAULT_LIMITS.max_blocks)
    frames = _native.frames(reconstruction, len(data), DEFAULT_LIMITS.max_blocks)
    blank = jpeg.BLANK_FILE_BITS * sum(map(block_count, frames)) > 8 * len(data)
    sizes = []
    for frame, planes, duplicate in zip(frames, pictures, _native.duplicates(pictures), strict=True):
        if duplicate is None:
            sizes.append(picture_bytes(model, "native" if blank else profile, frame, planes))
    native, plain, calibrated = np.array(sizes).T
    rest = len(by_native) - int(native.sum())
    chosen = [np.minimum(native, network) for network in (plain, calibrated)]
    wins = [native <= network for network in (plain, calibrated)]
    counts = [number for win in wins for number in (int(win.sum()), int(native[win].sum()))]
    return [len(data), len(by_native), *(rest + int(c.sum()) for c in chosen), *counts, len(sizes)]


def jpeg_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of a folder with their group: their own folder, or themselves."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in (".jpg", ".jpeg"):
            yield (path.stem if path.parent == folder else path.parent.name), path


def of_jpeg(folder: Path, profile: str) -> None:
    torch.set_num_threads(1)
    model = registry.load(registry.of_profile(profile, "cpu"), "cpu")
    groups: dict[str, list[list[int]]] = defaultdict(list)
    for group, path in jpeg_files(folder):
        try:
            row = file_bytes(model, profile, path.read_bytes())
        except LicError:
            row = None
        if row is not None:
            groups[group].append(row)
            print(path.name, *row, flush=True)
    groups["all"] = [row for rows in groups.values() for row in rows]
    head = ["", "files", "bytes", "`native`", f"`{profile}`, not calibrated", "calibrated", "change"]
    head += ["pictures", "by `native`, not calibrated", "their bytes", "by `native`, calibrated", "their bytes"]
    rows = []
    for group, results in groups.items():
        total, native, plain, calibrated, *counts, pictures = np.sum(results, 0).tolist()
        numbers = [len(results), total, native, plain, calibrated]
        change = f"{100 * (calibrated / plain - 1):+.2f} %"
        rows.append([group, *map(str, numbers), change, *map(str, (pictures, *counts))])
    print("\n" + markdown(head, "l" + "r" * (len(head) - 1), rows))


def tiles(model: ImageModel, path: Path, index: int, lof: int = 0) -> Iterator[Tensor]:
    """Yield the latents of each tile of an image, `[1, C, h, w]`."""
    with Image.open(path) as picture:
        analysis = Analysis(model, np.asarray(picture.convert("RGB")), index)
    search = TileSearch(analysis, lof, None) if lof else None
    for tile in analysis.grid.tiles:
        with known_state(), torch.inference_mode():
            symbols = search(tile) if search else analysis.latents(tile).round().contiguous()
        yield symbols


def stream_bytes(model: ImageModel, path: Path, index: int, lof: int) -> np.ndarray:
    """Return the bytes of an image's streams without calibration, and with it."""
    total = np.zeros(2, int)
    for symbols in tiles(model, path, index, lof):
        both = Both()
        walk(model, both, index, symbols.shape[2:], symbols)
        total += [len(stream) for stream in both.streams()]
    return total


class Gaussians:
    """A coder that collects symbols, their channels, and Gaussians with the means and variances of their mixtures."""

    def __init__(self) -> None:
        self.parts: list[list[np.ndarray]] = []

    def code(self, mixture: Mixture, symbols: Tensor) -> Tensor:
        params = to_params(mixture).float()
        means, scales = params[..., :2] / 16, torch.exp2((params[..., 2:4] - 48) / 8)
        first = torch.sigmoid((params[..., 4] - 64) / 8)
        weights = torch.stack([first, 1 - first], -1)
        mean = (weights * means).sum(-1)
        # The variance of a logistic distribution is pi^2 / 3 for the scale 1.
        variance = (weights * (scales**2 * (math.pi**2 / 3) + (means - mean[..., None]) ** 2)).sum(-1)
        channels = torch.arange(symbols.shape[-1]).expand(symbols.shape) + mixture.first_context
        self.parts.append([part.flatten().numpy() for part in (symbols, channels, mean, variance.sqrt())])
        return symbols


def message_bytes(model: ImageModel, path: Path, index: int) -> np.ndarray:
    """Return the bytes of messages of an image's latents, without calibration and with it."""
    total = np.zeros(2, int)
    for symbols in tiles(model, path, index):
        options: dict[str, Any]
        if isinstance(model, Bls2017):
            tensor = symbols[0].short().numpy()
            rows = np.arange(len(tensor), dtype=np.int32)[:, None, None]
            distribution, options = model.prior.tables(index)[rows], {"axis": 0}
        else:
            coder = Gaussians()
            walk(model, coder, index, symbols.shape[2:], symbols)
            flat, channels, mean, scale = (np.concatenate(part) for part in zip(*coder.parts))
            tensor = flat.astype(np.int16)
            distribution, options = lic_native.Gaussian(mean, scale), {"contexts": channels.astype(np.uint16)}
        messages = [lic_native.encode(tensor, distribution)]
        messages.append(lic_native.encode(tensor, distribution, calibrate=True, **options))
        contexts = options.get("contexts")
        assert np.array_equal(lic_native.decode(messages[1], distribution, contexts=contexts), tensor)
        total += [len(message) for message in messages]
    return total


def of_images(folders: list[Path], qualities: list[float], measure: Callable[[Path, int], np.ndarray]) -> None:
    torch.set_num_threads(1)
    rows = []
    for folder in folders:
        paths = sorted(folder.glob("*.png"))
        for quality in qualities:
            plain, calibrated = np.sum([measure(path, index_of(quality)) for path in paths], 0).tolist()
            change = f"{100 * (calibrated / plain - 1):+.2f} %"
            rows.append([folder.name, str(len(paths)), f"{quality:g}", str(plain), str(calibrated), change])
            print(*rows[-1], flush=True)
    print("\n" + markdown(["", "files", "quality", "bytes", "calibrated", "change"], "lrrrrr", rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    of_files = kinds.add_parser("jpeg", help="JPEG files of a folder")
    of_files.add_argument("folder", type=Path)
    of_files.add_argument("--profile", default="fast", choices=("fast", "best"))
    of_pictures = kinds.add_parser("images", help="images in folders of PNG files")
    of_pictures.add_argument("--lof", type=int, default=0, help="iterations of latent overfitting")
    of_tensors = kinds.add_parser(
        "tensors", help="messages of such images' latents: bls2017's tables, msp as Gaussians"
    )
    for kind in (of_pictures, of_tensors):
        kind.add_argument("--profile", default="balanced", choices=registry.IMAGE_PROFILES)
        kind.add_argument("folders", type=Path, nargs="+")
        kind.add_argument("--quality", type=float, action="append", required=True)
    options = parser.parse_args()
    if options.kind == "jpeg":
        of_jpeg(options.folder, options.profile)
        return
    model = registry.load_image(registry.of_image_profile(options.profile), "cpu")
    if options.kind == "images":
        of_images(options.folders, options.quality, lambda path, index: stream_bytes(model, path, index, options.lof))
    else:
        of_images(options.folders, options.quality, lambda path, index: message_bytes(model, path, index))


if __name__ == "__main__":
    main()
