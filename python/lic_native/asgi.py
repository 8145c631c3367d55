"""A web application that serves `.lic` files as the files that they restore: `photo.jpg.lic` as `/photo.jpg`.

    LIC_ROOT=packed uvicorn lic_native.asgi:app     # or granian --interface asgi; or lic-native serve packed
    application = lic_native.asgi.create_app("s3://photos-lic", cache=1 << 30)

It answers GET and HEAD with ETag, conditional requests and ranges. ETags come from the checksum at the beginning of
each `.lic` file, so that conditional requests decode nothing. No path leads out of the root, and memory, time and the
number of waiting requests are bounded. It needs Starlette: `pip install 'lic-native[serve]'`.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import itertools
import mimetypes
import os
import re
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html import escape
from typing import Any, TypeVar
from urllib.parse import quote

from . import jpeg, threads
from .errors import LicError, LimitExceededError, TruncatedError, UnsupportedError
from .inspection import HEAD_BYTES, kind
from .limits import Limits
from .storage import PRIVATE, Storage, open_storage

try:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route
except ImportError as error:
    raise UnsupportedError("the server needs Starlette: pip install 'lic-native[serve]'") from error

__all__ = ["create_app"]

T = TypeVar("T")

SUFFIX = ".lic"
#: Bytes of a `.lic` file up to the end of the restored file's length.
IDENTITY_BYTES = HEAD_BYTES + 8 + 10
#: The limits of a server, which are lower than those of a user at home.
SERVER_LIMITS = Limits(max_pixels=2**27, max_input_bytes=2**28, max_output_bytes=2**28)
#: Bytes that are sent at a time, and seconds that a client may take for them.
CHUNK, CHUNK_SECONDS = 1 << 16, 30.0
#: Requests that may wait for memory.
MAX_WAITING = 100
#: Bytes of a path: the longest key of S3.
MAX_PATH = 1024
#: Pictures on a page of the gallery.
GALLERY = 200
#: Of all answers: a browser must not take a file for a page, and run what is in it.
SAFE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}


class Overloaded(Exception):
    """Raised for a request that would wait too long."""


class Budget:
    """An amount of memory that requests share, in the order in which they come. Used in one event loop."""

    def __init__(self, size: int) -> None:
        self.size = self.free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> int:
        """Wait for so many bytes, or for all if that is less. Return how many are to be given back.

        Raises Overloaded if too many wait already.
        """
        size = min(size, self.size)
        if not self._waiting and size <= self.free:
            self.free -= size
            return size
        if len(self._waiting) >= MAX_WAITING:
            raise Overloaded
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # Its turn came at the same moment.
                self.give_back(size)
            else:
                self.give_back(0)  # Those behind it need not wait any more.
            raise
        return size

    def give_back(self, size: int) -> None:
        """Give bytes back, and let those that wait take them."""
        self.free += size
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= self.free):
            size, turn = self._waiting.popleft()
            if not turn.done():
                self.free -= size
                turn.set_result(None)


class Cache:
    """Restored files, by key and ETag; the least recently used ones make room."""

    def __init__(self, size: int) -> None:
        self.size, self.used = size, 0
        self._files: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def get(self, name: tuple[str, str]) -> bytes | None:
        if (data := self._files.get(name)) is not None:
            self._files.move_to_end(name)
        return data

    def put(self, name: tuple[str, str], data: bytes) -> None:
        if len(data) > self.size or name in self._files:
            return
        self._files[name] = data
        self.used += len(data)
        while self.used > self.size:
            self.used -= len(self._files.popitem(last=False)[1])


@dataclass
class Metrics:
    """Counts since the start, for Prometheus."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    sent_bytes: int = 0
    hits: int = 0
    decoded: int = 0
    decode_seconds: float = 0.0

    def text(self, **gauges: int) -> str:
        """Return the counts, and gauges, in Prometheus' format."""
        lines = ["# TYPE lic_requests_total counter"]
        for (method, status), number in sorted(self.requests.items()):
            lines.append(f'lic_requests_total{{method="{method}",status="{status}"}} {number}')
        counters = {
            "lic_sent_bytes_total": self.sent_bytes,
            "lic_cache_hits_total": self.hits,
            "lic_decoded_total": self.decoded,
            "lic_decode_seconds_total": round(self.decode_seconds, 6),
        }
        for name, value in counters.items():
            lines += [f"# TYPE {name} counter", f"{name} {value}"]
        for name, value in gauges.items():
            lines += [f"# TYPE lic_{name} gauge", f"lic_{name} {value}"]
        return "\n".join(lines) + "\n"


#: The answer to a request that would wait too long.
BUSY = PlainTextResponse("busy\n", 503, {"Retry-After": "5", **SAFE})


class File(Response):
    """A file, or a part of it, which is sent in pieces; a client that is too slow for one is cut off."""

    def __init__(self, data: memoryview, status: int, headers: dict[str, str], server: Server) -> None:
        super().__init__(None, status, headers)
        self._data, self._server = data, server

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # What slow clients keep in memory is bounded, too.
        bodies = self._server.bodies
        try:
            taken = await asyncio.wait_for(bodies.take(len(self._data)), self._server.timeout)
        except (Overloaded, TimeoutError):
            await BUSY(scope, receive, send)
            return
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for begin in range(0, max(len(self._data), 1), CHUNK):
                part = bytes(self._data[begin : begin + CHUNK])
                message = {"type": "http.response.body", "body": part, "more_body": begin + CHUNK < len(self._data)}
                await asyncio.wait_for(send(message), CHUNK_SECONDS)
                self._server.metrics.sent_bytes += len(part)
        except TimeoutError:
            pass  # The server closes a connection whose answer is incomplete.
        finally:
            bodies.give_back(taken)


def key_of(path: str) -> str | None:
    """Return the key that a request's path names, or None if it may not be served."""
    parts = path.removeprefix("/").split("/")
    try:
        if len(path.encode()) > MAX_PATH:
            return None
    except UnicodeEncodeError:
        return None
    if any(part in ("", ".", "..") or part.startswith(PRIVATE) or set(part) & set("\\\0") for part in parts):
        return None
    return "/".join(parts)


def identity(head: bytes) -> tuple[str, int]:
    """Return the ETag and the length of the file that a `.lic` file restores, from its beginning.

    Raises FileNotFoundError if it restores none, UnsupportedError or TruncatedError.
    """
    if kind(head) not in ("stored", "jpeg"):
        raise FileNotFoundError
    size = shift = 0
    for byte in head[HEAD_BYTES + 8 :]:
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return f'"{head[HEAD_BYTES : HEAD_BYTES + 8].hex()}-{size:x}"', size
    raise TruncatedError("the length of the restored file is missing")


def matches(header: str, etag: str) -> bool:
    """Return whether an If-Match or If-None-Match header names an ETag."""
    return header.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in header.split(","))


def range_of(header: str, size: int) -> tuple[int, int] | None:
    """Return (first, last + 1) of a range of bytes, or None if the whole file is to be sent.

    Raises ValueError for a range outside of the file.
    """
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header.strip())
    if match is None or not (match[1] or match[2]):
        return None  # Several ranges, or another unit: the whole file is a right answer.
    if not match[1]:
        first, end = max(0, size - int(match[2])), size
    else:
        first, end = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
        if match[2] and int(match[2]) < first:
            return None
    if first >= size or end <= first:
        raise ValueError("range")
    return first, end


def content_type(key: str) -> str:
    """Return the type of a file by its name: that of an image, or bytes of any kind."""
    kind, encoding = mimetypes.guess_type(key)
    return kind if kind and kind.startswith(("image/", "video/")) and not encoding else "application/octet-stream"


class Server:
    """The state of an application: its storage, cache, memory and counts."""

    def __init__(
        self, storage: Storage, *, limits: Limits, memory: int, cache: int, timeout: float, gallery: bool
    ) -> None:
        self.storage, self.limits, self.timeout, self.gallery = storage, limits, timeout, gallery
        self.budget, self.bodies, self.cache, self.metrics = Budget(memory), Budget(memory), Cache(cache), Metrics()
        # Reading the heads of files must not wait for decoding.
        self._readers = ThreadPoolExecutor(32, "lic_native read")
        self._decoders = ThreadPoolExecutor(threads.available(), "lic_native decode")
        self._decoding: dict[tuple[str, str], asyncio.Task[bytes]] = {}

    async def answer(self, request: Request) -> Response:
        """Answer a request for a file; any failure becomes a status."""
        try:
            response = await asyncio.wait_for(self._file(request), self.timeout)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            response = PlainTextResponse("not found\n", 404)
        except (Overloaded, TimeoutError):
            response = BUSY
        except LicError as error:
            response = PlainTextResponse(f"the file can't be restored: {type(error).__name__}\n", 500)
        except OSError as error:
            missing = error.errno == errno.ENAMETOOLONG
            response = PlainTextResponse(*(("not found\n", 404) if missing else ("the storage does not answer\n", 502)))
        response.headers.update(SAFE)
        self.metrics.requests[request.method, response.status_code] += 1
        return response

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    async def _file(self, request: Request) -> Response:
        key = key_of(request.scope["path"])
        if key is None:
            raise FileNotFoundError
        try:
            head = await self._in(self._readers, lambda: self.storage.read_range(key + SUFFIX, 0, IDENTITY_BYTES))
        except ValueError as error:  # A name that the storage can't have, such as one below a link.
            raise FileNotFoundError from error
        etag, size = identity(head)
        if size > self.limits.max_output_bytes:
            raise LimitExceededError(f"a file of {size} bytes")
        headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "no-cache"}
        if_match, if_none_match = request.headers.get("if-match"), request.headers.get("if-none-match")
        if if_match is not None and not matches(if_match, etag):
            return Response(None, 412, headers)
        if if_none_match is not None and matches(if_none_match, etag):
            return Response(None, 304, headers)
        status, first, end = 200, 0, size
        wanted = request.headers.get("range")
        if wanted is not None and request.headers.get("if-range", etag) == etag and request.method == "GET":
            try:
                part = range_of(wanted, size)
            except ValueError:
                return Response(None, 416, {**headers, "Content-Range": f"bytes */{size}"})
            if part is not None:
                status, (first, end) = 206, part
                headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
        headers |= {"Content-Type": content_type(key), "Content-Length": str(end - first)}
        if request.method == "HEAD":
            return Response(None, status, headers)
        data = await self._restored(key, etag, size)
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        return File(
            memoryview(data)[first:end], status, {**headers, **SAFE, "Repr-Digest": f"sha-256=:{digest}:"}, self
        )

    async def _restored(self, key: str, etag: str, size: int) -> bytes:
        """Return the restored file. Requests for one file share the work."""
        name = key, etag
        if (data := self.cache.get(name)) is not None:
            self.metrics.hits += 1
            return data
        task = self._decoding.get(name)
        if task is None:
            task = self._decoding[name] = asyncio.create_task(self._decode(key, name, size))
            task.add_done_callback(lambda task: self._forget(name, task))
        return await asyncio.shield(task)

    def _forget(self, name: tuple[str, str], task: asyncio.Task[bytes]) -> None:
        self._decoding.pop(name, None)
        if not task.cancelled():
            task.exception()  # The requests that wanted it may have given up.

    async def _decode(self, key: str, name: tuple[str, str], size: int) -> bytes:
        """Restore a file in a thread, when there is memory for it. It is given up after the time of two requests."""
        group, start = threads.Group(), time.monotonic()

        def work() -> bytes:
            watchdog = threading.Timer(2 * self.timeout, group.stop)
            watchdog.daemon = True
            watchdog.start()
            try:
                with group.joined():
                    packed = self.storage.read(key + SUFFIX, self.limits)
                    return jpeg.decompress(packed, device="cpu", limits=self.limits, threads=1)
            except KeyboardInterrupt:
                raise TimeoutError from None
            finally:
                watchdog.cancel()

        taken = await self.budget.take((16 << 20) + 40 * size)
        try:
            data = await self._in(self._decoders, work)
        finally:
            self.budget.give_back(taken)
        self.metrics.decoded += 1
        self.metrics.decode_seconds += time.monotonic() - start
        self.cache.put(name, data)
        return data

    async def health(self, request: Request) -> Response:
        """Say that the server works."""
        return PlainTextResponse("ok\n")

    async def counts(self, request: Request) -> Response:
        """Return the metrics."""
        gauges = {"cache_bytes": self.cache.used, "memory_free_bytes": self.budget.free}
        return PlainTextResponse(self.metrics.text(**gauges, decoding=len(self._decoding)))

    async def pictures(self, request: Request) -> Response:
        """Return a page with the first pictures of the root."""
        if not self.gallery:
            return PlainTextResponse("not found\n", 404)
        policy = {"Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'"}
        page = await self._in(self._readers, self._page)
        return Response(page, headers=SAFE | policy, media_type="text/html; charset=utf-8")

    def _page(self) -> str:
        keys = (entry.key.removesuffix(SUFFIX) for entry in self.storage.list() if entry.key.endswith(SUFFIX))
        shown = list(itertools.islice((key for key in keys if content_type(key).startswith("image/")), GALLERY))
        images = (
            f'<a href="/{quote(key)}"><img loading=lazy alt="{escape(key)}" src="/{quote(key)}"></a>' for key in shown
        )
        style = "body{background:#111;margin:1rem}img{height:14rem;margin:.2rem}"
        return f"<!doctype html><meta charset=utf-8><title>lic</title><style>{style}</style>{''.join(images)}"


def create_app(
    root: str | os.PathLike[str],
    *,
    limits: Limits = SERVER_LIMITS,
    memory: int = 1 << 30,
    cache: int = 1 << 28,
    timeout: float = 30.0,
    gallery: bool = False,
) -> Starlette:
    """Return an ASGI application that serves a folder or bucket of `.lic` files as the files that they restore.

    `/healthz` says "ok", and `/metrics` has counts for Prometheus.

    Args:
        root: a folder's path or a bucket's URL; nothing outside of it is served.
        limits: the most that a file may ask for.
        memory: bytes that all files being decoded may need together; further requests wait.
        cache: bytes of restored files that are kept.
        timeout: seconds after which a request that waits, or is decoded, is answered with 503.
        gallery: whether `/` is a page with pictures, and so lists the names of the root.

    Raises:
        FileNotFoundError: the folder does not exist.
        UnsupportedError, ValueError: as `lic_native.storage.open_storage` does.
    """
    storage = open_storage(root)
    storage.check()
    server = Server(storage, limits=limits, memory=memory, cache=cache, timeout=timeout, gallery=gallery)
    methods = ["GET", "HEAD"]
    return Starlette(
        routes=[
            Route("/healthz", server.health, methods=methods),
            Route("/metrics", server.counts, methods=methods),
            Route("/", server.pictures, methods=methods),
            Route("/{path:path}", server.answer, methods=methods),
        ]
    )


def __getattr__(name: str) -> Any:
    """Make `app` from the environment when a server asks for it."""
    if name != "app":
        raise AttributeError(name)
    root = os.environ.get("LIC_ROOT")
    if not root:
        raise ValueError("LIC_ROOT must name the folder or bucket that is served")
    return create_app(root, gallery=os.environ.get("LIC_GALLERY") == "1")
