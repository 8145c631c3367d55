"""The web application: files come back, and nothing else does."""

import asyncio
import base64
import hashlib
import http.client
import random
import signal
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest
from conftest import jpeg_bytes

from lic_native import jpeg

pytest.importorskip("starlette")

from lic_native import asgi

PHOTO = jpeg_bytes(seed=3)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "root"
    (folder / "a b").mkdir(parents=True)
    (folder / "a b/ä.jpg.lic").write_bytes(jpeg.compress(PHOTO))
    (folder / "page.html.lic").write_bytes(jpeg.compress(b"<script>alert(1)</script>" * 100))
    damaged = bytearray(jpeg.compress(PHOTO))
    damaged[-20] ^= 1
    (folder / "damaged.jpg.lic").write_bytes(bytes(damaged))
    (folder / "plain.jpg").write_bytes(PHOTO)
    (folder / ".lic-bulk").mkdir()
    (folder / ".lic-bulk/secret.jpg.lic").write_bytes(jpeg.compress(PHOTO))
    (tmp_path / "outside.jpg.lic").write_bytes(jpeg.compress(PHOTO))
    (folder / "link.jpg.lic").symlink_to(tmp_path / "outside.jpg.lic")
    (folder / "up").symlink_to(tmp_path)
    return folder


class Answer:
    def __init__(self, messages):
        start, *bodies = messages
        self.status = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        self.body = b"".join(message.get("body", b"") for message in bodies)


def ask(app, path, method="GET", delay=0.0, **headers) -> Answer:
    """Return the answer of an application to one request."""
    return asyncio.run(ask_once(app, path, method, delay, **headers))


async def ask_once(app, path, method="GET", delay=0.0, **headers) -> Answer:
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode("utf-8", "surrogateescape"), "root_path": "", "query_string": b"",
        "server": ("test", 80), "client": ("test", 1),
        "headers": [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()],
    }  # fmt: skip
    messages = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        messages.append(message)
        await asyncio.sleep(delay)

    await app(scope, receive, send)
    return Answer(messages)


def test_a_file_is_served_as_the_file_that_it_was(root):
    app = asgi.create_app(root)
    answer = ask(app, "/a b/ä.jpg")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, PHOTO, "image/jpeg")
    digest = base64.b64encode(hashlib.sha256(PHOTO).digest()).decode()
    assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
    head = ask(app, "/a b/ä.jpg", "HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(PHOTO)))
    assert head.headers["etag"] == answer.headers["etag"]
    assert ask(app, "/a b/ä.jpg", "POST").status == 405


def test_conditional_requests_decode_nothing(root):
    app = asgi.create_app(root)
    etag = ask(app, "/a b/ä.jpg", "HEAD").headers["etag"]
    for headers, status in [
        ({"if_none_match": etag}, 304),
        ({"if_none_match": f'"x", W/{etag}'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_match": '"x"'}, 412),
    ]:
        answer = ask(app, "/a b/ä.jpg", **headers)
        assert (answer.status, answer.body) == (status, b"")
    assert "lic_decoded_total 0" in ask(app, "/metrics").body.decode()
    for headers in ({"if_none_match": '"x"'}, {"if_match": etag}, {"if_match": "*"}):
        assert ask(app, "/a b/ä.jpg", **headers).body == PHOTO
    assert "lic_decoded_total 1" in ask(app, "/metrics").body.decode()
    other = root / "a b/ä.jpg.lic"
    other.write_bytes(jpeg.compress(jpeg_bytes(seed=4)))
    assert ask(app, "/a b/ä.jpg", if_none_match=etag).body == jpeg_bytes(seed=4)


def test_identity_is_known_without_decoding(root):
    hashes = {"if_none_match": '"x"'}
    (root / "old.jpg.lic").write_bytes(jpeg.compress(PHOTO, sha256=False))
    app = asgi.create_app(root)
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(PHOTO).digest()).decode()}:"
    new, old = ask(app, "/a b/ä.jpg", "HEAD", **hashes), ask(app, "/old.jpg", "HEAD", **hashes)
    assert (new.headers["repr-digest"], new.headers["etag"]) == (digest, f'"{hashlib.sha256(PHOTO).hexdigest()}"')
    assert "repr-digest" not in old.headers and old.headers["etag"].endswith(f'-{len(PHOTO):x}"')
    assert "lic_decoded_total 0" in ask(app, "/metrics").body.decode()
    assert ask(app, "/old.jpg").headers["repr-digest"] == digest


def test_ranges(root):
    app, size = asgi.create_app(root), len(PHOTO)
    etag = ask(app, "/a b/ä.jpg", "HEAD").headers["etag"]
    for header, first, end in [("0-9", 0, 10), ("5-", 5, size), ("-7", size - 7, size), (f"0-{size + 9}", 0, size)]:
        answer = ask(app, "/a b/ä.jpg", range=f"bytes={header}")
        assert (answer.status, answer.body) == (206, PHOTO[first:end])
        assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/{size}"
    for header in (f"{size}-", "-0"):
        answer = ask(app, "/a b/ä.jpg", range=f"bytes={header}")
        assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{size}")
    for header in ("bytes=9-5", "bytes=0-1,3-4", "bytes=-", "lines=0-1", "bytes=a-b", "bytes=" + "9" * 30 + "-"):
        assert (ask(app, "/a b/ä.jpg", range=header).status, header) == (200, header)
    assert ask(app, "/a b/ä.jpg", range="bytes=0-1", if_range='"x"').status == 200
    assert ask(app, "/a b/ä.jpg", range="bytes=0-1", if_range=etag).status == 206


def test_nothing_outside_of_the_root_is_served(root):
    app = asgi.create_app(root)
    for path in [
        "/../outside.jpg", "/a b/../../outside.jpg", "//outside.jpg", "/./a b/ä.jpg", "/link.jpg", "/up/outside.jpg",
        "/.lic-bulk/secret.jpg", "/..\\outside.jpg", "/a\0b.jpg", "/plain.jpg", "/a b", "/a b/", "/missing.jpg",
        "/up", "/" + "x" * 5000, "/\udcff.jpg", str(root.parent / "outside.jpg"), "/" + "é" * 200 + "/x",
    ]:  # fmt: skip
        answer = ask(app, path)
        assert answer.status == 404 and b"outside" not in answer.body, path


def test_hostile_requests_get_an_answer(root):
    """Random paths and headers: no exception leaves the application, and what it serves is right."""
    app, rng = asgi.create_app(root), random.Random(0)
    pieces = [
        "..",
        ".",
        "a b",
        "ä.jpg",
        "up",
        "\0",
        "%2e%2e",
        "\\",
        ".lic-bulk",
        "x" * 300,
        "outside.jpg",
        "",
        "é",
        "*",
    ]
    ranges = ["bytes=", "0", "-", ",", "9" * 40, "\xff", "bytes", "=", "1"]

    async def all_requests():
        for _ in range(1000):
            path = "/" + "/".join(rng.choices(pieces, k=rng.randrange(1, 5)))
            header = "".join(rng.choices(ranges, k=rng.randrange(5)))
            answer = await ask_once(app, path, rng.choice(["GET", "HEAD"]), range=header, if_none_match=header)
            assert answer.status in (200, 206, 304, 404, 416)
            assert answer.status not in (200, 206) or path == "/a b/ä.jpg"

    asyncio.run(all_requests())


def test_a_file_that_is_no_picture_cannot_run_in_a_browser(root):
    answer = ask(asgi.create_app(root), "/page.html")
    assert answer.status == 200 and answer.headers["content-type"] == "application/octet-stream"
    assert (
        answer.headers["x-content-type-options"] == "nosniff" and "sandbox" in answer.headers["content-security-policy"]
    )


def test_damage_and_limits_are_answers(root):
    answer = ask(asgi.create_app(root), "/damaged.jpg")
    assert (answer.status, answer.body) == (500, b"the file can't be restored: CorruptError\n")
    small = asgi.create_app(root, limits=asgi.Limits(max_output_bytes=100))
    assert ask(small, "/a b/ä.jpg").status == 500


def test_requests_for_one_file_share_the_work_and_the_cache_is_bounded(root, monkeypatch):
    app = asgi.create_app(root, cache=len(PHOTO) + 100)

    async def at_once():
        return await asyncio.gather(*(ask_once(app, "/a b/ä.jpg") for _ in range(20)))

    assert all(answer.body == PHOTO for answer in asyncio.run(at_once()))
    metrics = ask(app, "/metrics").body.decode()
    assert "lic_decoded_total 1\n" in metrics and 'lic_requests_total{method="GET",status="200"} 20\n' in metrics
    assert ask(app, "/page.html").status == 200
    assert f"lic_cache_bytes {2500}\n" in ask(app, "/metrics").body.decode()  # The photograph has made room.


def test_what_waits_too_long_is_answered(root, monkeypatch):
    def slow(*_, **__):
        import time

        time.sleep(0.5)
        return PHOTO

    monkeypatch.setattr(asgi.jpeg, "decompress", slow)
    answer = ask(asgi.create_app(root, timeout=0.1), "/a b/ä.jpg")
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")


def test_slow_clients_are_cut_off(root, monkeypatch):
    monkeypatch.setattr(asgi, "CHUNK_SECONDS", 0.05)
    monkeypatch.setattr(asgi, "CHUNK", 100)
    app = asgi.create_app(root)
    answer = ask(app, "/a b/ä.jpg", delay=0.2)
    assert answer.status == 200 and len(answer.body) < len(PHOTO)
    monkeypatch.undo()
    assert ask(app, "/a b/ä.jpg").body == PHOTO


def test_memory_is_given_in_order_and_what_gives_up_leaves_the_queue():
    async def scenario():
        budget, order = asgi.Budget(100), []

        async def use(name, size):
            taken = await budget.take(size)
            order.append(name)
            return taken

        first = await budget.take(60)
        large = asyncio.create_task(use("large", 1000))
        small = asyncio.create_task(use("small", 10))
        await asyncio.sleep(0)
        assert order == []  # The small one does not overtake.
        large.cancel()
        await asyncio.sleep(0)
        assert await small == 10 and order == ["small"]
        budget.give_back(first)
        budget.give_back(10)
        assert budget.free == 100
        held = await budget.take(100)
        waiting = [asyncio.create_task(use(i, 1)) for i in range(asgi.MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(asgi.Overloaded):
            await budget.take(1)
        budget.give_back(held)
        assert sum(await asyncio.gather(*waiting)) == asgi.MAX_WAITING and budget.free == 0

    asyncio.run(scenario())


def test_health_and_gallery(root, monkeypatch):
    app = asgi.create_app(root)
    assert ask(app, "/healthz").body == b"ok\n" and ask(app, "/").status == 404
    page = ask(asgi.create_app(root, gallery=True), "/")
    assert page.headers["content-type"].startswith("text/html") and b'src="/a%20b/%C3%A4.jpg"' in page.body
    assert b"page.html" not in page.body and b"secret" not in page.body
    monkeypatch.setenv("LIC_ROOT", str(root))
    assert ask(asgi.app, "/a b/ä.jpg").body == PHOTO
    monkeypatch.delenv("LIC_ROOT")
    with pytest.raises(ValueError, match="LIC_ROOT"):
        asgi.app  # noqa: B018


@contextmanager
def served(root, *options):
    """Run the command `serve`, and yield the process and its address."""
    pytest.importorskip("uvicorn")
    command = [sys.executable, "-m", "lic_native", "serve", str(root), "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        try:
            line = run.stderr.readline()
            assert f" serves {root}" in line, line + run.stderr.read()
            yield run, line.split()[0]
        finally:
            run.kill()


def fetch(address, path, **headers):
    """Return the status, the headers and the body of an answer over a real connection."""
    with closing(http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)) as connection:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_stopped(root, number):
    with served(root, "--gallery") as (run, address):
        picture = "/a%20b/%C3%A4.jpg"
        status, headers, body = fetch(address, picture, range="bytes=5-")
        assert (status, body, headers["etag"]) == (206, PHOTO[5:], f'"{hashlib.sha256(PHOTO).hexdigest()}"')
        assert fetch(address, picture, if_none_match=headers["etag"])[0] == 304
        assert fetch(address, "/missing.jpg")[0] == 404
        assert picture.encode() in fetch(address, "/")[2]
        run.send_signal(number)
        rest = run.stderr.read()
        assert (run.wait(60), rest) == (128 + number, "lic-native: stopped\n")
    with pytest.raises(ConnectionRefusedError):
        fetch(address, "/healthz")


def test_what_can_not_be_served_is_one_line(root):
    with served(root) as (_, address):
        port = address.rpartition(":")[2]
        for options, status, message in [
            ([str(root), "--port", port], 1, f"lic-native: 127.0.0.1:{port}: "),
            ([str(root), "--port", "70000"], 2, "lic-native: there is no port 70000"),
            ([str(root / "none")], 1, f"lic-native: {root / 'none'}: is no folder"),
        ]:
            command = [sys.executable, "-m", "lic_native", "serve", *options]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            assert done.returncode == status and done.stderr.startswith(message), done.stderr
            assert done.stderr.count("\n") == 1
