"""Reading and writing of whole files."""

import errno
import hashlib
import io
import os
import random
import stat
import subprocess
import sys
import threading
import time

import pytest
from conftest import jpeg_bytes

import lic_native
from lic_native import LimitExceededError, Limits, files, image, jpeg


def test_no_more_is_read_than_the_limit_allows(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes(1000))
    assert files.read(path, Limits(max_input_bytes=1000)) == bytes(1000)
    assert files.read(str(path)) == files.read(io.BytesIO(bytes(1000))) == bytes(1000)
    for source in (path, io.BytesIO(bytes(2000)), "/dev/zero"):
        with pytest.raises(LimitExceededError, match="limit of 999"):
            files.read(source, Limits(max_input_bytes=999))
    with pytest.raises(TypeError, match="mode 'rb'"):
        files.read(io.StringIO("text"))


class Dribbling(io.RawIOBase):
    """A file that reads and writes three bytes at a time, as sockets and raw pipes may."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data

    def readable(self):
        return True

    def read(self, size=-1):
        part, self.data = self.data[:3], self.data[3:]
        return part

    def write(self, data):
        self.data += bytes(data[:3])
        return len(data[:3])


class Empty(io.RawIOBase):
    """A pipe that does not block, and is empty or full."""

    def readable(self):
        return True

    def read(self, size=-1):
        return None

    def write(self, data):
        return None


def test_files_that_do_not_block_are_waited_for():
    reader, writer = os.pipe()
    for descriptor in (reader, writer):
        os.set_blocking(descriptor, False)
    data = bytes(range(256)) * 4000
    taken = []

    def take():
        with open(reader, "rb", buffering=0) as file:
            taken.append(files.read(file))

    thread = threading.Thread(target=take)
    thread.start()
    time.sleep(0.05)
    with open(writer, "wb", buffering=0) as file:
        files.write_all(file, data)
    thread.join()
    assert taken == [data]
    with pytest.raises(BlockingIOError):
        files.read(Empty())
    with pytest.raises(BlockingIOError):
        files.write_all(Empty(), b"x")


def test_a_file_that_takes_nothing_is_an_error():
    class Full(io.RawIOBase):
        def write(self, data):
            return 0

    with pytest.raises(OSError, match="takes no more"):
        files.write_all(Full(), b"x")
    taken = []

    class Taking:
        def write(self, data):
            taken.append(bytes(data))

    files.write_all(Taking(), b"abc")
    assert taken == [b"abc"]


def test_short_reads_and_writes_are_continued():
    assert files.read(Dribbling(bytes(range(100)))) == bytes(range(100))
    target = Dribbling()
    files.write_all(target, bytes(range(100)))
    assert target.data == bytes(range(100))


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "deep" / "x"
    with files.Output(path) as output:
        assert not path.exists()
        output.commit(b"content")
    assert path.read_bytes() == b"content" and [p.name for p in path.parent.iterdir()] == ["x"]
    with pytest.raises(RuntimeError), files.Output(path, overwrite=True):
        raise RuntimeError
    assert path.read_bytes() == b"content" and [p.name for p in path.parent.iterdir()] == ["x"]


def test_files_are_replaced_only_with_overwrite(tmp_path):
    path = tmp_path / "x"
    with files.Output(path) as output:
        path.write_bytes(b"another's")
        with pytest.raises(FileExistsError) as caught:
            output.commit(b"ours")
    assert caught.value.filename == str(path) and path.read_bytes() == b"another's"
    with pytest.raises(FileExistsError), files.Output(path):
        pass
    with files.Output(path, overwrite=True) as output:
        output.commit(b"ours")
    assert path.read_bytes() == b"ours" and list(tmp_path.iterdir()) == [path]


def test_a_file_has_one_output_at_a_time(tmp_path):
    with files.Output(tmp_path / "x") as output:
        with pytest.raises(files.Busy, match="another run"), files.Output(tmp_path / "x"):
            pass
        output.commit(b"1")
    with files.Output(tmp_path / "x", overwrite=True) as output:
        output.commit(b"2")
    assert (tmp_path / "x").read_bytes() == b"2"


def test_output_without_locks_and_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    monkeypatch.setattr(os, "link", refuse)
    with files.Output(tmp_path / "x") as output:
        output.commit(b"1")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    with files.Output(tmp_path / "y") as output:
        (tmp_path / "y").write_bytes(b"another's")
        with pytest.raises(FileExistsError):
            output.commit(b"ours")
    assert (tmp_path / "y").read_bytes() == b"another's"


def test_times_and_mode_are_kept(tmp_path):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"x")
    source.chmod(0o640)
    os.utime(source, ns=(5, 1_234_567_890))
    with files.Output(target) as output:
        output.commit(b"y", like=source)
    status = target.stat()
    assert status.st_mtime_ns == 1_234_567_890 and stat.S_IMODE(status.st_mode) == 0o640


def test_jpeg_file_functions(tmp_path, photo):
    source, packed, back = tmp_path / "a.jpg", tmp_path / "a.lic", tmp_path / "b.jpg"
    source.write_bytes(photo)
    jpeg.compress_file(source, packed, profile="native")
    assert packed.read_bytes() == jpeg.compress(photo, profile="native")
    with pytest.raises(FileExistsError):
        jpeg.compress_file(source, packed, profile="native")
    jpeg.compress_file(str(source), str(packed), profile="native", overwrite=True)
    jpeg.decompress_file(packed, back)
    assert back.read_bytes() == photo
    stream = io.BytesIO()
    jpeg.decompress_file(io.BytesIO(packed.read_bytes()), stream)
    assert stream.getvalue() == photo
    with pytest.raises(FileExistsError, match="source itself"):
        jpeg.compress_file(source, source, overwrite=True)
    assert source.read_bytes() == photo
    for given in (photo, 5, None):
        with pytest.raises(TypeError, match="source must be a path or a binary file object"):
            jpeg.compress_file(given, tmp_path / "new")
    with pytest.raises(TypeError, match="target must be"):
        jpeg.compress_file(source, 5)
    with pytest.raises(TypeError, match="overwrite must be True or False"):
        jpeg.compress_file(source, packed, overwrite="no")
    with pytest.raises(IsADirectoryError):
        jpeg.compress_file(source, f"{tmp_path}/new/")
    with pytest.raises(FileNotFoundError):
        jpeg.compress_file(tmp_path / "none", tmp_path / "deep" / "x")
    with pytest.raises(TypeError, match="mode 'rb'"):
        jpeg.compress_file(io.StringIO(""), tmp_path / "x")
    with pytest.raises(lic_native.UnsupportedError, match="restores a JPEG file"):
        jpeg.decompress_file(packed, tmp_path / "x.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jpg", "a.lic", "b.jpg"]


def test_image_file_functions(tmp_path):
    source, packed, shown = tmp_path / "a.jpg", tmp_path / "a.lic", tmp_path / "a.png"
    source.write_bytes(jpeg_bytes(32, 48))
    image.compress_file(source, packed, quality=2, profile="fast")
    image.decompress_file(packed, shown)
    from PIL import Image

    with Image.open(shown) as picture:
        assert picture.format == "PNG" and picture.size == (48, 32)
    with pytest.raises(ValueError, match="format"):
        image.decompress_file(packed, io.BytesIO())
    with pytest.raises(TypeError, match="format must be a string"):
        image.decompress_file(packed, io.BytesIO(), format=5)
    stream = io.BytesIO()
    image.decompress_file(packed, stream, format=".webp")
    assert Image.open(stream).format == "WEBP"


class Pipe(io.RawIOBase):
    """A file object that can't seek, gives and takes odd numbers of bytes, and may fail."""

    def __init__(self, data: bytes = b"", fails_after: int | None = None) -> None:
        self.data, self.fails_after = bytearray(data), fails_after
        self.rest = memoryview(bytes(data))

    def readable(self):
        return True

    def seekable(self):
        return False

    def read(self, size=-1):
        part = bytes(self.rest[: min(size, 100_003)])
        self.rest = self.rest[len(part) :]
        if self.fails_after is not None and len(self.data) - len(self.rest) > self.fails_after:
            raise ConnectionResetError(errno.ECONNRESET, "reset")
        return part

    def write(self, data):
        self.data += data
        if self.fails_after is not None and len(self.data) > self.fails_after:
            raise BrokenPipeError(errno.EPIPE, "gone")
        return len(data)


@pytest.fixture
def little_memory(monkeypatch):
    monkeypatch.setattr(files, "IN_MEMORY", 1 << 16)


NOISE = random.Random(1).randbytes(300_000)
TEXT = b"".join(b"line %d of a long text\n" % i for i in range(20_000))


@pytest.mark.parametrize("original", [NOISE, TEXT, bytes(1 << 20)], ids=["noise", "text", "zeros"])
def test_large_files_pass_through_streams(little_memory, original):
    packed = Pipe()
    jpeg.compress_file(Pipe(original), packed, sha1=True)
    packed = bytes(packed.data)
    info = jpeg.inspect(packed)
    assert (info.kind, info.restored_bytes) == ("stored", len(original))
    assert (info.sha256, info.sha1) == (hashlib.sha256(original).hexdigest(), hashlib.sha1(original).hexdigest())
    assert len(packed) <= (len(original) + 90 if original is NOISE else len(original) // 10)
    assert jpeg.decompress(packed) == original
    restored = Pipe()
    jpeg.decompress_file(Pipe(packed), restored)
    assert bytes(restored.data) == original
    plain = Pipe()
    jpeg.decompress_file(io.BytesIO(jpeg.compress(original, sha256=False)), plain)
    assert bytes(plain.data) == original


def test_a_large_file_with_pictures_is_coded(little_memory, photo):
    for original in (photo, TEXT + photo + NOISE):
        packed = Pipe()
        jpeg.compress_file(Pipe(original), packed, profile="native")
        assert bytes(packed.data) == jpeg.compress(original, profile="native")
        restored = Pipe()
        jpeg.decompress_file(Pipe(packed.data), restored)
        assert bytes(restored.data) == original


def test_nothing_unverified_leaves_a_stream(little_memory, tmp_path):
    packed = bytearray(jpeg.compress(TEXT))
    for position in (6, 15, 20, 60, len(packed) // 2, len(packed) - 1):
        altered = packed.copy()
        altered[position] ^= 4
        out = Pipe()
        with pytest.raises(lic_native.LicError):
            jpeg.decompress_file(Pipe(altered), out)
        assert not out.data
    for end in (0, 5, 20, 70, len(packed) - 1):
        with pytest.raises(lic_native.TruncatedError if end < 8 else lic_native.LicError):
            jpeg.decompress_file(Pipe(packed[:end]), tmp_path / "x")
    assert not list(tmp_path.iterdir())
    with pytest.raises(LimitExceededError):
        jpeg.decompress_file(Pipe(packed), Pipe(), limits=Limits(max_output_bytes=len(TEXT) - 1))
    with pytest.raises(LimitExceededError):
        jpeg.compress_file(Pipe(TEXT), Pipe(), limits=Limits(max_input_bytes=len(TEXT) - 1))


def test_errors_of_streams_are_raised_as_they_are(little_memory, tmp_path):
    with pytest.raises(ConnectionResetError):
        jpeg.compress_file(Pipe(NOISE, fails_after=200_000), tmp_path / "x")
    with pytest.raises(BrokenPipeError):
        jpeg.compress_file(Pipe(NOISE), Pipe(fails_after=100))
    with pytest.raises(TypeError, match="sha256 must be True or False"):
        jpeg.compress_file(Pipe(NOISE), tmp_path / "x", sha256=1)
    assert not list(tmp_path.iterdir())


def test_streams_take_constant_memory(tmp_path):
    """In memory, 256 MiB and what is made of them would be twice that."""
    source, packed, restored = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    piece = random.Random(2).randbytes(1 << 20)
    with source.open("wb") as file:
        for i in range(256):
            file.write(bytes([i]) + piece[1:])
    code = (
        "import resource, sys\nfrom lic_native import jpeg\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "getattr(jpeg, sys.argv[1])(open(0, 'rb', 0), open(1, 'wb', 0))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, file=sys.stderr)"
    )
    for function, given, made in [("compress_file", source, packed), ("decompress_file", packed, restored)]:
        with given.open("rb") as stdin, made.open("wb") as stdout:
            done = subprocess.run(
                [sys.executable, "-c", code, function], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True
            )
        assert done.returncode == 0, done.stderr
        assert int(done.stderr) < 180 << 10, f"{function} took {done.stderr} KiB"
    assert packed.stat().st_size < 3 << 20
    assert hashlib.sha256(restored.read_bytes()).digest() == hashlib.sha256(source.read_bytes()).digest()
