"""Scripts and style sheets are sent compressed; pages never are."""

import gzip
import os
from pathlib import Path

import pytest

from dashboard.web.app import STATIC
from dashboard.web.compressed_files import CompressedFiles
from tests.unit.dashboard.asgi import get
from tests.unit.dashboard.sim_site import SimSite

GZIP = {"accept-encoding": "br, gzip;q=0.8"}


@pytest.mark.parametrize("name", ["style.css", "js/live.js", "shapes.svg"])
def test_file_is_compressed_for_who_understands_it(site: SimSite, name: str) -> None:
    answer = get(site.bare_app, f"/static/{name}", headers=GZIP)
    content = (STATIC / name).read_bytes()
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "accept-encoding"
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert len(answer.body) < len(content) / 2
    assert gzip.decompress(answer.body) == content


@pytest.mark.parametrize("accepted", ["", "br", "gzip;q=0", "x-gzip"])
def test_file_is_sent_as_it_is_to_others(site: SimSite, accepted: str) -> None:
    headers = {"accept-encoding": accepted}
    answer = get(site.bare_app, "/static/style.css", headers=headers)
    assert "content-encoding" not in answer.headers
    assert answer.body == (STATIC / "style.css").read_bytes()


def test_file_that_the_browser_has_is_not_sent_again(site: SimSite) -> None:
    first = get(site.bare_app, "/static/style.css", headers=GZIP)
    known = {**GZIP, "if-none-match": first.headers["etag"]}
    again = get(site.bare_app, "/static/style.css", headers=known)
    assert (again.status, again.body) == (304, b"")


def test_changed_file_is_compressed_again(tmp_path: Path) -> None:
    app = CompressedFiles(tmp_path)
    file = tmp_path / "a.js"
    for number, text in enumerate(("first", "other")):
        file.write_text(text)
        os.utime(file, ns=(number, number))
        answer = get(app, "/a.js", headers=GZIP)
        assert gzip.decompress(answer.body).decode() == text


@pytest.mark.parametrize("path", ["/wall", "/analysis", "/api/status"])
def test_what_may_hold_a_secret_is_not_compressed(site: SimSite, path: str) -> None:
    answer = get(site.app, path, headers=GZIP)
    assert answer.status == 200
    assert "content-encoding" not in answer.headers
