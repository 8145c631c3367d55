"""The command `lic-native serve`."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

from ..errors import UnsupportedError
from ..limits import Limits
from . import console, options

__all__ = ["serve"]

#: Connections at a time; further ones are answered with 503.
MAX_CONNECTIONS = 500
#: Seconds that answers under way may take after Ctrl-C.
GRACE = 5


def serve(
    root: Annotated[str, typer.Argument(metavar="ROOT", help="Folder or bucket of .lic files.")],
    host: Annotated[str, typer.Option(metavar="HOST", help="Address to listen on; 0.0.0.0 is all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", help="Port to listen on; 0 is any that is free.")] = 8000,
    gallery: Annotated[bool, typer.Option("--gallery", help="Show the pictures at /, with their names.")] = False,
    memory: Annotated[
        int,
        typer.Option(
            metavar="SIZE", parser=options.size, show_default=False, help="Memory for decoding. [default: 1G]"
        ),
    ] = 1 << 30,
    cache: Annotated[
        int,
        typer.Option(
            metavar="SIZE", parser=options.size, show_default=False, help="Memory for restored files. [default: 256M]"
        ),
    ] = 1 << 28,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="Answer with 503 after so long.")] = 30.0,
    max_pixels: options.MaxPixels = 1 << 27,
    max_size: Annotated[
        int,
        typer.Option(
            metavar="SIZE", parser=options.size, show_default=False, help="Largest file to restore. [default: 256M]"
        ),
    ] = 1 << 28,
) -> None:
    """Serve .lic files over HTTP as the files that they restore: photo.jpg.lic as /photo.jpg.

    Conditional requests and ranges are answered; /healthz says that the server works, and /metrics has counts for
    Prometheus. Put a server with TLS and access control before it.

    \b
    Examples:
      lic-native serve packed --gallery               then open http://127.0.0.1:8000
      lic-native serve s3://photos-lic --port 80 --host 0.0.0.0
    """
    from ..asgi import create_app

    try:
        import uvicorn
    except ImportError as error:
        raise UnsupportedError("the server needs uvicorn: pip install 'lic-native[serve]'") from error
    limits = Limits(max_pixels, max_size, max_size)
    app = create_app(root, limits=limits, memory=memory, cache=cache, timeout=timeout, gallery=gallery)
    is_ipv6 = ":" in host
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if is_ipv6 else socket.AF_INET)
    except OverflowError as error:
        raise ValueError(f"there is no port {port}: name one from 0 to 65535") from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{host}:{port}") from error
    address = f"[{host}]" if is_ipv6 else host
    with listener:
        console.say(f"http://{address}:{listener.getsockname()[1]} serves {console.shown(root)}")
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=GRACE,
            limit_concurrency=MAX_CONNECTIONS, timeout_keep_alive=5, h11_max_incomplete_event_size=1 << 14, http="h11",
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[listener])
