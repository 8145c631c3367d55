"""Reading and writing of whole files."""

import errno
import io
import os
import stat

import pytest
from conftest import jpeg_bytes

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
    """Takes and gives three bytes at a time, as sockets and raw pipes may."""

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


def test_short_reads_and_writes_are_gone_on_with():
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


def test_nothing_is_replaced_unasked_even_if_it_comes_later(tmp_path):
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


def test_one_output_of_a_file_at_a_time(tmp_path):
    with files.Output(tmp_path / "x") as output:
        with pytest.raises(files.Busy, match="another run"), files.Output(tmp_path / "x"):
            pass
        output.commit(b"1")
    with files.Output(tmp_path / "x", overwrite=True) as output:
        output.commit(b"2")
    assert (tmp_path / "x").read_bytes() == b"2"


def test_where_there_are_no_locks_and_no_links(tmp_path, monkeypatch):
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


def test_files_by_functions(tmp_path, photo):
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
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jpg", "a.lic", "b.jpg"]


def test_images_by_functions(tmp_path):
    source, packed, shown = tmp_path / "a.jpg", tmp_path / "a.lic", tmp_path / "a.png"
    source.write_bytes(jpeg_bytes(32, 48))
    image.compress_file(source, packed, quality=2, profile="fast")
    image.decompress_file(packed, shown)
    from PIL import Image

    with Image.open(shown) as picture:
        assert picture.format == "PNG" and picture.size == (48, 32)
    with pytest.raises(ValueError, match="format"):
        image.decompress_file(packed, io.BytesIO())
    stream = io.BytesIO()
    image.decompress_file(packed, stream, format=".webp")
    assert Image.open(stream).format == "WEBP"
