"""Files of our own: whole or not at all, and read with care."""

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midas_dfer import files
from midas_dfer.errors import JobError, RequestError
from midas_dfer.files import csv_cell, from_csv_cell, json_text, read_json, write_file, write_json

CURE = "train again"


@given(st.text(alphabet="'=+-@\t\ra1 "))
def test_a_cell_that_a_spreadsheet_would_run_is_led_by_an_apostrophe_and_comes_back(text: str) -> None:
    cell = csv_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert from_csv_cell(cell) == text


@given(st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False) | st.none() | st.text()))
def test_json_comes_back_as_it_was_written(content: dict[str, object]) -> None:
    assert json.loads(json_text(content)) == content


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_result_that_is_not_finite_is_never_written(tmp_path: Path, number: float) -> None:
    with pytest.raises(JobError, match="not finite"):
        write_json(tmp_path / "result.json", {"uar": number})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "damaged"),
        (b"null", "null, not an object"),
        (b"true", "true or false, not an object"),
        (b"[1]", "a list, not an object"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": ' + b"[" * 200_000, "nested too deeply"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b'{"a": 1', "damaged"),
    ],
)
def test_a_damaged_file_is_a_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=said) as caught:
        read_json(path, CURE)
    assert str(caught.value).startswith(str(path)) or str(path) in str(caught.value)
    assert str(caught.value).endswith(CURE)


def test_a_file_that_is_not_there_or_no_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="there is no file"):
        read_json(tmp_path / "run.json", CURE)
    with pytest.raises(RequestError, match="is not a file"):
        read_json(tmp_path, CURE)


def test_a_file_that_may_not_be_read_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.json"
    path.write_text("{}", encoding="utf-8")

    def refuse(_: Path) -> bytes:  # root may read everything, so mode 000 alone would test nothing here
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(RequestError, match="may not be read by this user"):
        read_json(path, CURE)


def test_content_and_name_are_on_the_disk_before_a_file_is_called_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "result.json", []
    real = os.fsync

    def watch(handle: int) -> None:
        seen.append((Path(f"/proc/self/fd/{handle}").readlink(), path.exists()))
        real(handle)

    monkeypatch.setattr(os, "fsync", watch)
    write_file(path, "done")
    (content, before), (folder, after) = seen
    assert content.name.endswith(".tmp.json")
    assert not before
    assert folder == tmp_path
    assert after


@pytest.mark.parametrize("count", [2, 40])
def test_files_are_written_together_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    (tmp_path / "0.txt").write_text("before")
    contents = {tmp_path / f"{number}.txt": f"{number}" for number in range(count)}

    def refuse(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "sync", refuse)
        patch.setattr(files.os, "fsync", refuse)
        with pytest.raises(JobError, match="the disk is full"):
            files.write_together(contents)
    assert {f.name: f.read_text() for f in tmp_path.iterdir()} == {"0.txt": "before"}
    files.write_together(contents)
    assert {f.name: f.read_text() for f in tmp_path.iterdir()} == {path.name: text for path, text in contents.items()}
    files.write_together({})
