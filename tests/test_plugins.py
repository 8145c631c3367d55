"""Plug-ins for other libraries. Those with entry points are tested in processes that import nothing of ours."""

import os
import pickle
import subprocess
import sys
import textwrap
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from conftest import jpeg_bytes, photograph

import lic_native
from lic_native import image, jpeg

PHOTO = jpeg_bytes(seed=5)
#: Found by other libraries only in an installation.
GROUPS = ("fsspec.specs", "numcodecs.codecs", "zarr.codecs")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a folder with a `.lic` file of each kind, a damaged one, and files of other kinds."""
    folder = tmp_path / "packed"
    (folder / "deep").mkdir(parents=True)
    (folder / ".lic-bulk").mkdir()
    (folder / ".lic-bulk/private.jpg.lic").write_bytes(jpeg.compress(PHOTO))
    (folder / "a ä.jpg.lic").write_bytes(jpeg.compress(PHOTO))
    (folder / "deep/b.lic").write_bytes(jpeg.compress(PHOTO))
    (folder / "deep/c.txt.lic").write_bytes(jpeg.compress(b"a text"))
    (folder / "labels.csv").write_text("name,label\na,1\nb,2\n")
    (folder / "lossy.lic").write_bytes(image.compress(photograph(32, 48), profile="fast", device="cpu"))
    damaged = bytearray(jpeg.compress(PHOTO))
    damaged[-20] ^= 1
    (folder / "damaged.jpg.lic").write_bytes(bytes(damaged))
    (folder / "empty.jpg.lic").write_bytes(b"")
    return folder


def alone(script: str, *arguments) -> str:
    """Return the output of a script in a process of its own, in which all warnings are errors of the test."""
    guard = "import sys\nassert not any(name.startswith('lic_native') for name in sys.modules)\n"
    done = subprocess.run(
        [sys.executable, "-c", guard + textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(lic_native.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_installation_names_the_plug_ins():
    """Else this tree is not what is installed: pip install --editable ."""
    named = {(point.group, point.name) for group in GROUPS for point in entry_points(group=group)}
    assert {
        ("fsspec.specs", "lic"),
        ("zarr.codecs", "lic_native.jpeg"),
        ("numcodecs.codecs", "lic_native.jpeg"),
    } < named


def files(folder):
    fsspec = pytest.importorskip("fsspec")
    return fsspec.url_to_fs(f"lic::{folder}")


def test_a_folder_is_shown_as_what_it_restores(folder):
    fs, root = files(folder)
    assert fs.find(root, detail=False) == sorted(
        f"{folder.as_posix()}/{name}"
        for name in ("a ä.jpg", "damaged.jpg", "deep/b.jpg", "deep/c.txt", "empty.jpg", "labels.csv", "lossy.lic")
    )
    shown = {entry["name"].rpartition("/")[2]: entry for entry in fs.ls(root)}
    assert shown["a ä.jpg"]["size"] == fs.size(f"{root}/a ä.jpg") == len(PHOTO)
    assert shown["empty.jpg"]["size"] is None and shown["deep"]["type"] == "directory"
    assert fs.glob(f"{root}/**/*.jpg") == [f"{root}/{name}.jpg" for name in ("a ä", "damaged", "deep/b", "empty")]
    assert fs.ls(f"{root}/deep/b.jpg") == [fs.info(f"{root}/deep/b.jpg")]
    assert fs.isdir(f"{root}/deep") and fs.isfile(f"{root}/a ä.jpg") and not fs.exists(f"{root}/b.jpg")
    assert not fs.exists(f"{root}/deep/b") and not fs.exists(f"{root}/deep/c.jpg")
    assert fs.modified(f"{root}/a ä.jpg").timestamp() == pytest.approx((folder / "a ä.jpg.lic").stat().st_mtime)
    assert pickle.loads(pickle.dumps(fs)).info(f"{root}/a ä.jpg") == fs.info(f"{root}/a ä.jpg")


def test_files_open_as_what_they_restore(folder):
    fs, root = files(folder)
    for name, content in [("a ä.jpg", PHOTO), ("deep/b.jpg", PHOTO), ("deep/c.txt", b"a text")]:
        assert fs.cat_file(f"{root}/{name}") == content
        assert fs.cat_file(f"{root}/{name}", 2, -1) == content[2:-1]
        with fs.open(f"{root}/{name}") as file:
            file.seek(-2, 2)
            assert file.read() == content[-2:]
    assert fs.cat_file(f"{root}/labels.csv") == (folder / "labels.csv").read_bytes()
    assert lic_native.kind(fs.cat_file(f"{root}/lossy.lic")) == "image"
    fs.get(f"{root}/deep", str(folder / "got"), recursive=True)
    assert {path.name: path.read_bytes() for path in (folder / "got").iterdir()} == {"b.jpg": PHOTO, "c.txt": b"a text"}


def test_sizes_come_from_heads(folder, monkeypatch):
    fs, root = files(folder)
    read = []
    whole = fs.fs.cat_file
    monkeypatch.setattr(
        fs.fs, "cat_file", lambda path, start=None, end=None: read.append(end) or whole(path, start, end)
    )
    fs.ls(root)
    fs.info(f"{root}/a ä.jpg")
    assert len(read) == 5 and max(read) <= 76


def test_what_cannot_be_read_is_a_typed_error(folder):
    fs, root = files(folder)
    for name, error in [
        ("damaged.jpg", lic_native.CorruptError),
        ("empty.jpg", lic_native.TruncatedError),
        ("missing.jpg", FileNotFoundError),
        ("labels.csv/x.jpg", FileNotFoundError),
        ("lossy", FileNotFoundError),
        ("deep", IsADirectoryError),
    ]:
        with pytest.raises(error) as caught:
            fs.open(f"{root}/{name}").read()
        assert name in str(caught.value)
    with pytest.raises(lic_native.TruncatedError):
        fs.info(f"{root}/empty.jpg")
    assert fs.exists(f"{root}/empty.jpg")
    small = files(folder)[0].__class__(target_protocol="file", max_output_bytes=100)
    with pytest.raises(lic_native.LimitExceededError):
        small.open(f"{root}/a ä.jpg")
    with pytest.raises(ValueError, match="lic::s3"):
        fs.__class__()


def test_nothing_is_written(folder):
    fs, root = files(folder)
    before = sorted(folder.rglob("*"))
    for attempt in (
        lambda: fs.open(f"{root}/new.jpg", "wb"),
        lambda: fs.pipe_file(f"{root}/new.jpg", b"x"),
        lambda: fs.put_file(__file__, f"{root}/new.jpg"),
        lambda: fs.rm(f"{root}/a ä.jpg"),
        lambda: fs.mv(f"{root}/a ä.jpg", f"{root}/new.jpg"),
        lambda: fs.cp_file(f"{root}/a ä.jpg", f"{root}/new.jpg"),
        lambda: fs.mkdir(f"{root}/new"),
        lambda: fs.touch(f"{root}/a ä.jpg"),
    ):
        with pytest.raises(OSError, match="read-only"):
            attempt()
    assert sorted(folder.rglob("*")) == before


def test_fsspec_finds_the_filesystem_by_itself(folder):
    pytest.importorskip("fsspec")
    script = """
    import fsspec, hashlib, sys
    from PIL import Image
    root = sys.argv[1]
    with fsspec.open(f"lic::{root}/a ä.jpg", "rb") as file:
        print(hashlib.sha256(file.read()).hexdigest())
    with fsspec.open(f"lic::file://{root}/deep/b.jpg") as file:
        print(Image.open(file).convert("L").size)
    files = fsspec.open_files(f"lic::{root}/deep/*")
    print([file.path.rpartition("/")[2] for file in files])
    with fsspec.open(f"lic::{root}/labels.csv", "rt") as file:
        print(file.readline())
    """
    import hashlib

    lines = alone(script, folder).split("\n")
    assert lines[0] == hashlib.sha256(PHOTO).hexdigest()
    assert lines[1:4] == ["(128, 96)", "['b.jpg', 'c.txt']", "name,label"]


def test_a_chain_over_another_filesystem(folder):
    """As for s3://, the path of a URL is that of the filesystem below."""
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe({"/bucket/x.jpg.lic": jpeg.compress(PHOTO), "/bucket/y.lic": jpeg.compress(PHOTO)})
    try:
        with fsspec.open("lic::memory://bucket/x.jpg") as file:
            assert file.read() == PHOTO
        fs, root = fsspec.url_to_fs("lic::memory://bucket")
        assert fs.find(root) == ["/bucket/x.jpg", "/bucket/y.jpg"] and fs.size("/bucket/y.jpg") == len(PHOTO)
        with fsspec.open("simplecache::lic::memory://bucket/y.jpg") as file:
            assert file.read() == PHOTO
    finally:
        memory.rm("/bucket", recursive=True)


def test_pandas(folder):
    pandas = pytest.importorskip("pandas")
    table = (folder / "labels.csv").read_bytes() * 100
    (folder / "labels.csv").unlink()
    (folder / "labels.csv.lic").write_bytes(jpeg.compress(table))
    assert len(pandas.read_csv(f"lic::file://{folder}/labels.csv")) == 299


#: An array for each kind of codec.
ARRAYS = [
    np.arange(1000, dtype=np.int32).reshape(10, 100) // 7,
    np.random.default_rng(0).integers(0, 9, (33, 17), np.uint16),
    np.random.default_rng(0).normal(0, 3, (40, 30)).round().astype(np.int64),
    photograph(40, 50),
    np.array([[True, False, True]]),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: array.dtype.name)
@pytest.mark.parametrize("axis", [None, 1])
def test_numcodecs_arrays_come_back(array, axis):
    numcodecs = pytest.importorskip("numcodecs")
    codec = numcodecs.get_codec({"id": "lic_native.tensor", "axis": axis})
    coded = codec.encode(array)
    back = codec.decode(coded)
    assert back.dtype == array.dtype and back.shape == array.shape and (back == array).all()
    out = np.empty_like(array)
    codec.decode(np.frombuffer(coded, np.uint8), out)
    assert (out == array).all()
    assert numcodecs.get_codec(codec.get_config()) == codec
    with pytest.raises(TypeError):
        codec.encode(array.astype(float))
    for wrong in (coded[:-1], b"", bytes(100)):
        with pytest.raises(lic_native.LicError):
            codec.decode(wrong)
    with pytest.raises(lic_native.LimitExceededError):
        codec.decode(coded, np.empty(1, np.int8))


def test_numcodecs_jpeg_files_come_back_as_they_are():
    numcodecs = pytest.importorskip("numcodecs")
    codec = numcodecs.get_codec({"id": "lic_native.jpeg"})
    for data in (PHOTO, b"", b"no picture", b"head" + PHOTO + PHOTO[:-1]):
        assert bytes(codec.decode(codec.encode(data))) == data
    assert len(codec.encode(np.frombuffer(PHOTO, np.uint8))) < 0.9 * len(PHOTO)
    with pytest.raises(lic_native.CorruptError):
        codec.decode(codec.encode(PHOTO)[:-1] + b"\0")
    with pytest.raises(ValueError, match="profile"):
        numcodecs.get_codec({"id": "lic_native.jpeg", "profile": "none"})


@pytest.mark.parametrize("shape", [(32, 48), (32, 48, 1), (32, 48, 3), (1, 1, 32, 48, 4), (1, 32, 48), (9, 2)])
def test_numcodecs_lossy_images(shape):
    numcodecs = pytest.importorskip("numcodecs")
    codec = numcodecs.get_codec({"id": "lic_native.lossy_image", "quality": 6, "profile": "fast"})
    samples = np.resize(photograph(32, 48), shape)
    back = codec.decode(codec.encode(samples)).reshape(shape)
    assert back.dtype == np.uint8 and np.abs(back.astype(int) - samples).mean() < 40
    for wrong in [(3, 32, 48), (48,), (0, 3), (2, 8, 8, 3)]:
        with pytest.raises(ValueError, match="no image"):
            codec.encode(np.zeros(wrong, np.uint8))
    with pytest.raises(TypeError, match="uint8"):
        codec.encode(samples.astype(np.int16))


def test_numcodecs_and_zarr_find_the_codecs_by_themselves(tmp_path):
    """An array is written by this process, and read by one that imports zarr alone."""
    zarr = pytest.importorskip("zarr", minversion="3.1")
    from lic_native.plugins import numcodecs as codecs2
    from lic_native.plugins import zarr as codecs3

    labels = np.arange(60 * 50, dtype=np.int32).reshape(60, 50) // 11
    tile = np.frombuffer(PHOTO, np.uint8)
    for name, options in {
        "tensor": {"serializer": codecs3.Tensor(), "compressors": None},
        "tensor2": {"zarr_format": 2, "compressors": codecs2.Tensor(axis=0)},
        "filtered2": {"zarr_format": 2, "filters": [codecs2.Tensor()], "compressors": None},
    }.items():
        array = zarr.create_array(tmp_path / name, shape=labels.shape, chunks=(25, 50), dtype="i4", **options)
        array[:] = labels
    for name, options in {
        "jpeg": {"compressors": [codecs3.Jpeg()]},
        "jpeg2": {"zarr_format": 2, "compressors": codecs2.Jpeg()},
    }.items():
        array = zarr.create_array(tmp_path / name, shape=(3 * len(tile),), chunks=(len(tile),), dtype="u1", **options)
        array[:] = np.tile(tile, 3)
        assert array.nbytes_stored() < 0.95 * 3 * len(tile)
    script = """
    import sys, zarr, numpy as np
    for name in ("tensor", "tensor2", "filtered2", "jpeg", "jpeg2"):
        array = zarr.open_array(f"{sys.argv[1]}/{name}", mode="r")[:]
        print(name, array.dtype, array.shape, int(array.astype(np.int64).sum()), array[::7].tobytes().hex()[-40:])
    """
    expected = [
        f"{name} {array.dtype} {array.shape} {array.astype(np.int64).sum()} {array[::7].tobytes().hex()[-40:]}"
        for name, array in [*[(name, labels) for name in ("tensor", "tensor2", "filtered2")],
                            *[(name, np.tile(tile, 3)) for name in ("jpeg", "jpeg2")]]
    ]  # fmt: skip
    assert alone(script, tmp_path).splitlines() == expected


def test_zarr_images_with_loss(tmp_path):
    zarr = pytest.importorskip("zarr", minversion="3.1")
    from lic_native.plugins.zarr import LossyImage

    photo = photograph(60, 80)
    options = {"shape": (2, *photo.shape), "dtype": "u1", "compressors": None}
    codec = LossyImage(quality=6, profile="fast")
    array = zarr.create_array(tmp_path / "a", chunks=(1, 60, 40, 3), serializer=codec, **options)
    array[:] = np.stack([photo, photo[::-1]])
    again = zarr.open_array(tmp_path / "a", mode="r")
    assert np.abs(again[1].astype(int) - photo[::-1]).mean() < 10
    assert again.nbytes_stored() < photo.nbytes / 4
    with pytest.raises(ValueError, match="no image"):
        zarr.create_array(tmp_path / "b", chunks=(2, 60, 40, 3), serializer=codec, **options)
    with pytest.raises(TypeError, match="uint8"):
        zarr.create_array(tmp_path / "c", shape=(8, 8), dtype="i4", serializer=codec, compressors=None)


def test_zarr_refuses_what_it_cannot_hold_and_reports_damage(tmp_path):
    zarr = pytest.importorskip("zarr", minversion="3.1")
    from lic_native.plugins.zarr import Jpeg, Tensor

    options = {"shape": (8, 8), "compressors": None}
    with pytest.raises(TypeError, match="float32"):
        zarr.create_array(tmp_path / "a", dtype="f4", serializer=Tensor(), **options)
    with pytest.raises(TypeError):
        Tensor(axis="0")
    with pytest.raises(ValueError, match="profile"):
        Jpeg(profile="none")
    array = zarr.create_array(tmp_path / "b", dtype="i4", chunks=(8, 8), serializer=Tensor(), **options)
    array[:] = 5
    (chunk,) = (path for path in (tmp_path / "b/c").rglob("*") if path.is_file())
    written = chunk.read_bytes()
    for wrong, error in [
        (written[:-1], lic_native.LicError),
        (lic_native.encode(np.zeros((8, 8), np.int16)), lic_native.CorruptError),
        (lic_native.encode(np.zeros((9, 9), np.int32)), lic_native.LimitExceededError),
        (lic_native.encode(np.zeros((8, 7), np.int32)), lic_native.CorruptError),
    ]:
        chunk.write_bytes(wrong)
        with pytest.raises(error):
            array[:]
    big = zarr.create_array(tmp_path / "d", dtype=">i4", chunks=(8, 8), serializer=Tensor(), **options)
    big[:] = np.arange(64).reshape(8, 8)
    assert (big[:] == np.arange(64).reshape(8, 8)).all()


def shard(path: Path) -> Path:
    """Write a shard of WebDataset, with members of three kinds."""
    import io
    import tarfile

    with tarfile.open(path, "w") as tar:
        for name, data in [
            ("1.jpg.lic", jpeg.compress(PHOTO)), ("1.cls", b"7"), ("2.lic", jpeg.compress(PHOTO)), ("2.cls", b"8"),
            ("3.jpg", PHOTO), ("3.cls", b"9"),
        ]:  # fmt: skip
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.filterwarnings("ignore")
def test_webdataset(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    from lic_native.plugins.webdataset import restored

    packed = tmp_path / "shard.tar.lic"
    packed.write_bytes(jpeg.compress(shard(tmp_path / "shard.tar").read_bytes()))
    command = f"{sys.executable} -m lic_native decompress -c {packed}"
    for url in (str(tmp_path / "shard.tar"), f"lic:file://{tmp_path}/shard.tar", f"pipe:{command}"):
        samples = list(webdataset.WebDataset(url, shardshuffle=False).decode(restored, "pil"))
        assert [sample["cls"] for sample in samples] == [7, 8, 9]
        pictures = [next(value for key, value in s.items() if key in ("jpg.lic", "lic", "jpg")) for s in samples]
        assert all(np.asarray(picture).shape == (96, 128, 3) for picture in pictures), url


@pytest.mark.filterwarnings("ignore")
def test_datasets(tmp_path):
    datasets = pytest.importorskip("datasets")
    from lic_native.plugins.datasets import LicImage

    lossy = image.compress(photograph(32, 48), profile="fast", device="cpu")
    features = datasets.Features({"image": LicImage()})
    table = {"image": [PHOTO, {"bytes": lossy, "path": None}]}
    dataset = datasets.Dataset.from_dict(table, features=features)
    dataset.save_to_disk(tmp_path / "data")
    raw = dataset.with_format("arrow")[0]["image"][0].as_py()["bytes"]
    assert len(raw) < len(PHOTO) and jpeg.decompress(raw) == PHOTO
    sizes = datasets.load_from_disk(str(tmp_path / "data")).map(lambda row: {"size": row["image"].size})["size"]
    assert [list(size) for size in sizes] == [[128, 96], [48, 32]]
    # A worker that receives the data set imports what it needs.
    script = """
    import pickle, sys
    dataset = pickle.load(open(sys.argv[1], "rb"))
    print([row["image"].size for row in dataset])
    """
    (tmp_path / "pickled").write_bytes(pickle.dumps(dataset))
    assert alone(script, tmp_path / "pickled") == "[(128, 96), (48, 32)]\n"
