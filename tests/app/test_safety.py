"""Strangers: without a key, under another name, from another page, with a wrong cookie, out of the folder."""

import json
import re

import pytest

from midas_dfer.app.addresses import hosts_of
from tests.app.conftest import KEY, Running


def stranger(running: Running) -> Running:
    return Running(running.address, running.folder)


def test_without_a_session_there_is_the_page_for_the_key_alone(running):
    other = stranger(running)
    for path in ("/", "/live"):
        answer = other.ask(path)
        assert (answer.status, answer.headers["location"]) == (303, "/enter")
    for path in ("/api/files", "/api/readings", "/api/readings/x/video"):
        assert other.ask(path).status == 401
    assert other.ask("/enter").status == 200
    assert other.ask("/api/readings", "POST", b"{}").status == 401
    assert Running(running.address, running.folder, "a-cookie-of-my-own").ask("/api/files").status == 401


@pytest.mark.parametrize(
    "key", ['"\\ud800"', '"\u00e4\u20ac"', "null", "7", '"' + "x" * 9000 + '"'], ids=lambda key: key[:8]
)
def test_what_is_no_key(running, key):
    answer = stranger(running).ask("/enter", "POST", f'{{"key": {key}}}'.encode())
    assert (answer.status, json.loads(answer.body)["error"]) == (403, "this key opens nothing here")


def test_browsers_leave_out_the_port_of_http():
    assert hosts_of("127.0.0.1", 80) == {"127.0.0.1", "127.0.0.1:80", "localhost", "localhost:80"}
    assert hosts_of("Lab.example", 8765) == {"lab.example:8765"}


def test_a_key_is_a_cookie_that_no_script_and_no_other_page_sees(running):
    other = stranger(running)
    wrong = other.ask("/enter", "POST", json.dumps({"key": KEY + "x"}).encode())
    assert (wrong.status, wrong.headers["set-cookie"]) == (403, None)
    right = other.ask("/enter", "POST", json.dumps({"key": KEY}).encode())
    cookie = right.headers["set-cookie"]
    assert right.status == 200
    assert {"HttpOnly", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
    value = re.match("midas=([^;]+)", cookie)[1]
    assert Running(running.address, running.folder, value).ask("/api/files").status == 200
    assert KEY not in cookie


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": None}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
    ],
    ids=str,
)
def test_what_other_pages_ask_for(running, headers, status):
    answer = running.ask("/api/language", "POST", json.dumps({"language": "de"}).encode(), **headers)
    assert answer.status == status
    assert running.ask("/api/language", "POST", json.dumps({"language": "de"}).encode()).status == 200


def test_pages_may_load_nothing_from_elsewhere_and_run_no_script_in_them(running):
    answer = running.ask("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    page = answer.body.decode()
    assert not re.search(r"\son\w+=|style=", page)
    for script in re.findall(r"<script[^>]*>", page):
        assert 'type="application/json"' in script or 'src="/static/' in script


@pytest.mark.parametrize(
    "name",
    ["../secret.mp4", "/etc/passwd", "link.mp4", "notes.txt", "", 7, ["face.mp4"], "face.mp4/../face.mp4"],
    ids=str,
)
def test_nothing_outside_the_folder_is_read(running, name, tmp_path):
    outside = tmp_path / "secret.mp4"
    outside.write_bytes((running.folder / "face.mp4").read_bytes())
    link = running.folder / "link.mp4"
    link.symlink_to(outside)
    try:
        answer = running.ask("/api/readings", "POST", json.dumps({"file": name}).encode())
        assert answer.status == 400
        assert "among those that are offered" in json.loads(answer.body)["error"]
        assert json.loads(running.ask("/api/files").body)["files"] == ["broken.mp4", "face.mp4"]
    finally:
        link.unlink()


@pytest.mark.parametrize("path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static//etc/passwd"])
def test_static_files_are_static_files(running, path):
    assert running.ask(path).status in (400, 404)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"language": "xx"}', b" " * 70_000], ids=lambda body: body[:9])
def test_requests_that_are_none(running, body):
    answer = running.ask("/api/language", "POST", body)
    assert answer.status == 400
    assert json.loads(answer.body)["error"]
