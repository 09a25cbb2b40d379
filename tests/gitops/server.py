"""A git server over HTTP on the loopback: git's own http-backend behind a few lines, or only its files (dumb)."""

import base64
import os
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class SmartHandler(BaseHTTPRequestHandler):
    """Hands requests to `git http-backend`. login: user and password that are asked for."""

    protocol_version = "HTTP/1.0"

    def __init__(
        self, *arguments: object, root: Path, login: tuple[str, str] | None, seen: list[str]
    ) -> None:
        self._root, self._login, self._seen = root, login, seen
        super().__init__(*arguments)  # type: ignore[arg-type]  # as http.server calls it

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        given = self.headers.get("authorization", "")
        self._seen.append(self.path)
        if self._login is not None:
            expected = "Basic " + base64.b64encode(":".join(self._login).encode()).decode()
            if given != expected:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.end_headers()
                return
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self._root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(
            ["git", "http-backend"], env=environment, input=body, capture_output=True, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
        status = next((value for name, value in lines if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, value in lines:
            if name != "Status":
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


class DumbHandler(SimpleHTTPRequestHandler):
    """Serves the files of repositories and knows nothing of git."""

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def smart(
    root: Path,
    login: tuple[str, str] | None = None,
    seen: list[str] | None = None,
    *,
    tls: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """Serve the repositories below `root`; give the url of it. seen: gets the path of each request."""
    handler = partial(SmartHandler, root=root, login=login, seen=[] if seen is None else seen)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler) if tls is None else TlsServer(handler, tls)
    with serving(server, "http" if tls is None else "https") as url:
        yield url


class TlsServer(ThreadingHTTPServer):
    """Each handshake is its handler's, so that a caller who goes away in it keeps nobody waiting."""

    def __init__(self, handler: Callable[..., BaseHTTPRequestHandler], tls: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self._tls = tls

    def finish_request(self, request: Any, client_address: Any) -> None:
        with suppress(ssl.SSLError, ConnectionError), self._tls.wrap_socket(request, server_side=True) as tls:
            super().finish_request(tls, client_address)
            tls.unwrap()  # says that this is the end, without which git takes it for cut off


@contextmanager
def dumb(root: Path) -> Iterator[str]:
    """Serve the files below `root`; who pushes runs `git update-server-info`."""
    handler = partial(DumbHandler, directory=str(root))
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as url:
        yield url


@contextmanager
def serving(server: ThreadingHTTPServer, scheme: str = "http") -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
