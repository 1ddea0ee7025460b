"""The page on this machine's own address, written anew as runs change, and loaded anew where open.

The page on disk asks for nothing. What is served has a script more, which asks whether it is still
the page that there is, and a policy under which that script may do so.
"""

import base64
import functools
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from results.report import PAGE

HERE = "127.0.0.1"
# The address at which the page asks for the hash of what is on disk.
VERSION = "/.version"

RENDER_SECONDS = 60.0
LOOK_SECONDS = 5.0
# The part of the time that is spent on looking whether runs have changed, at most.
SHARE = 0.1

SCRIPT = """
setInterval(async () => {
  try {
    const answer = await fetch("%s", { cache: "no-store" });
    if (answer.ok && (await answer.text()) !== "%s") location.reload();
  } catch {
    // The command has ended: the page stays as it is.
  }
}, 2000);
"""


def served(page: str) -> str:
    """The page with the script, and with a policy that allows it and what it asks for."""
    script = SCRIPT % (VERSION, hash_of_page(page.encode()))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # The policy is the first that has these words.
    allowed = f"connect-src 'self'; script-src 'sha256-{digest}' "
    page = page.replace("script-src ", allowed, 1)
    before, body, after = page.rpartition("</body>")
    return f"{before}<script>{script}</script>{body}{after}"


def hash_of_page(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Handler(SimpleHTTPRequestHandler):
    """The page with its script, its version, and the files of reports beside it; nothing else."""

    def do_GET(self) -> None:
        if self.headers.get("Host", "").rpartition(":")[0] not in (HERE, "localhost"):
            # A page from elsewhere, whose name was made to lead here, must not read it.
            self.send_error(HTTPStatus.FORBIDDEN, "this is for this machine's own address")
            return
        path = unquote(urlsplit(self.path).path)
        page = Path(self.directory) / PAGE
        if path in ("/", f"/{PAGE}", VERSION):
            try:
                content = page.read_bytes()
            except OSError as error:
                self.send_error(HTTPStatus.NOT_FOUND, f"{page}: {error.strerror}")
                return
            if path == VERSION:
                self.answer(hash_of_page(content).encode(), "text/plain")
            else:
                self.answer(served(content.decode()).encode(), "text/html; charset=utf-8")
        elif path.endswith("/") or any(part.startswith(".") for part in path.split("/")):
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            super().do_GET()

    def do_HEAD(self) -> None:
        self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)

    def answer(self, content: bytes, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def list_directory(self, path: str) -> None:  # type: ignore[override]
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request."""


@contextmanager
def serving(reports: Path) -> Iterator[str]:
    """In the block, serve a folder of reports at the address that the block gets.

    Raises:
        OSError: this machine gives no port.
    """
    server = ThreadingHTTPServer((HERE, 0), functools.partial(Handler, directory=str(reports)))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{HERE}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


def follow(
    look: Callable[[], str], render: Callable[[], None], wait: Callable[[float], None]
) -> None:
    """Render whenever what is looked at has changed, at most once in RENDER_SECONDS, without end.

    Args:
        look: the hash of all that the page is made from.
        render: writes the page.
        wait: `time.sleep`.
    """
    seen = look()
    render()
    rendered = time.monotonic()
    while True:
        wait(LOOK_SECONDS)
        began = time.monotonic()
        now = look()
        took = time.monotonic() - began
        if now != seen:
            wait(max(0.0, rendered + RENDER_SECONDS - began))
            seen = look()
            render()
            rendered = time.monotonic()
        else:
            wait(took / SHARE)
