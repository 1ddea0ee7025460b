"""The page as it is served: with a script that loads it anew, to this machine alone."""

import base64
import hashlib
import re
import urllib.error
import urllib.request

import pytest
from running import run_here, sentence

from results.page import page
from results.watched import VERSION, follow, hash_of_page, served, serving


@pytest.fixture
def reports(tmp_path):
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "index.html").write_text("<meta script-src 'sha256-a'><body>one</body>")
    (folder / "table.csv").write_text("a,b\n")
    (folder / ".made.json").write_text("{}")
    return folder


def get(address, path="", **headers):
    request = urllib.request.Request(address + path, headers=headers)
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()


def refusal(address, path="", **headers):
    with pytest.raises(urllib.error.HTTPError) as error:
        get(address, path, **headers)
    return error.value.code


def test_the_page_asks_whether_it_is_still_the_one_there_is(reports):
    with serving(reports) as address:
        first = get(address)
        known = re.search('!== "(.*)"', first)[1]
        assert get(address, VERSION[1:]) == known
        (reports / "index.html").write_text("<body>two</body>")
        assert get(address, VERSION[1:]) != known
        assert "two" in get(address, "index.html")
        assert get(address, "table.csv") == "a,b\n"


def test_what_is_not_served(reports):
    (reports / "inside").mkdir()
    with serving(reports) as address:
        for path in (".made.json", "inside/", "nothing", "../reports/table.csv", "%2e%2e/x"):
            assert refusal(address, path) == 404
        assert refusal(address, Host="elsewhere.example:80") == 403
        (reports / "index.html").unlink()
        assert refusal(address) == 404


def test_the_policy_allows_the_script_and_its_question_alone():
    on_disk = page({"title": "runs"})
    shown = served(on_disk)
    script = re.findall("<script>(.*?)</script>", shown, re.DOTALL)[-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    [before] = re.findall('Content-Security-Policy" content="(.*?)"', on_disk)
    [after] = re.findall('Content-Security-Policy" content="(.*?)"', shown)
    wanted = f"connect-src 'self'; script-src 'sha256-{digest}' "
    assert after == before.replace("script-src ", wanted)
    assert "connect-src" not in on_disk and hash_of_page(on_disk.encode()) in script
    without = shown.replace(f"<script>{script}</script>", "").replace(wanted, "script-src ")
    assert without == on_disk


class Ended(Exception):
    pass


def test_rendered_when_something_has_changed():
    hashes, rendered, waits = iter("aabbbcc"), [], []

    def look():
        try:
            return next(hashes)
        except StopIteration:
            raise Ended from None

    with pytest.raises(Ended):
        follow(look, lambda: rendered.append(1), waits.append)
    # At first, for b, and for c, which comes less than a minute later.
    assert len(rendered) == 3
    assert max(waits) > 50


@pytest.mark.parametrize("value", ["maybe", "2", "null"])
def test_watch_is_true_or_false(capsys, runs, value):
    runs.mkdir()
    done = run_here(capsys, "report", f"paths.runs={runs}", f"watch={value}")
    assert sentence(done).startswith(f"error: watch={value}: must be")


def test_it_ends_in_a_sentence(capsys, runs, tmp_path, monkeypatch):
    def interrupted(seconds):
        raise KeyboardInterrupt

    runs.mkdir()
    monkeypatch.setattr("scripts.report.time.sleep", interrupted)
    done = run_here(
        capsys, "report", f"paths.runs={runs}", f"paths.reports={tmp_path / 'r'}", "watch=true"
    )
    first, written, _, last = done.out.splitlines()
    assert re.fullmatch(r"The page is at http://127\.0\.0\.1:\d+/ until Ctrl-C", first)
    assert written.startswith("Page written at ")
    assert last == f"stopped; the page is {tmp_path / 'r' / 'index.html'}"
    assert done.code == 0 and (tmp_path / "r" / "index.html").exists()
