"""The page of a store: whole, self-contained, escaped, of bounded size, and with the numbers that were counted."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midas_dfer.cli import main
from midas_dfer.clips.description.description import describe
from midas_dfer.clips.store.outcomes import Outcome
from midas_dfer.errors import JobError
from midas_dfer.manifest.manifest import Manifest
from midas_dfer.report.pages.description_page import description_page, write_description_page
from midas_dfer.report.pages.page import clean_text, page_environment
from midas_dfer.report.pictures.chart import picture_uri
from midas_dfer.report.pictures.examples import choose_examples
from tests.clips.description.test_description import NAMES, manifest_of, store_of
from tests.support.factories import make_store

VOID = {"meta", "img", "link", "br", "hr", "input"}
EVIL = "\"'><script>alert(1)</script>&amp;<img src=x onerror=alert(2)>{{ 7 * 7 }}{% raw %}"


class Page(HTMLParser):
    """A page read back: every tag closed in turn, its texts, attributes, ids and links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def values(self, name: str) -> list[str]:
        return [value for _, each, value in self.attributes if each == name]

    @property
    def pictures(self) -> list[str]:
        """What is shown as a picture; all that does not lie in the page itself would be here, too."""
        assert not self.values("src")
        return [value for tag, name, value in self.attributes if (tag, name) == ("image", "href")]

    @property
    def links(self) -> set[str]:
        return {value for tag, name, value in self.attributes if name == "href" and tag != "image"}


def page_of(clips) -> Page:
    return Page(description_page(clips, describe(clips)))


def some_votes(number: int, classes: int = 3) -> list[list[int]]:
    rng = np.random.default_rng(0)
    return [rng.multinomial(10, rng.dirichlet([0.4] * classes)).tolist() for _ in range(number)]


def full_store(folder: Path, number: int = 12):
    """A store with something in every section."""
    manifest = manifest_of(
        some_votes(number),
        subject=[f"s{i % 4}" for i in range(number)],
        split=[("train", "test")[i % 2] for i in range(number)],
        fold=[1 + i % 3 for i in range(number)],
    ).with_notes("One row was left out.")
    outcomes = {
        "v0": Outcome("v0", "v0.mp4", "failed", "no face", "no face in any of 75 frames"),
        "v1": Outcome("v1", "v1.mp4", "failed", "unreadable", "v1.mp4 is empty"),
    }
    return store_of(manifest, folder, lengths=[3 + i % 20 for i in range(number)], outcomes=outcomes)


def test_the_page_is_whole_and_loads_nothing(tmp_path):
    page = page_of(full_store(tmp_path / "s"))
    assert page.tags.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "base"})
    assert all(value.startswith("data:image/") for value in page.pictures)
    assert page.links
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {value.removeprefix("#") for value in page.links} <= set(ids)
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    assert any("default-src 'none'" in value for value in page.values("content"))
    assert not any("http" in value or "url(" in value for value in page.values("style"))


def test_every_section_is_there_with_its_numbers(tmp_path):
    store = full_store(tmp_path / "s")
    found = describe(store)
    page = page_of(store)
    sections = ["classes", "coexistence", "examples", "ambiguity", "agreement", "lengths", "parts", "failures"]
    sections += ["notes", "terms"]
    assert [i for i in page.values("id") if i in sections] == sections
    for a, row in enumerate(found.coexistence):
        for b, share in enumerate(row or ()):
            assert f"{100 * share:.1f}" in page.text, (a, b)
    assert found.agreement is not None
    assert f"{found.agreement.fleiss_kappa:.3f}" in page.text
    assert f"{found.agreement.krippendorff_alpha:.3f}" in page.text
    assert f"mean {found.ambiguity.mean_entropy:.2f}" in page.text
    assert "no face in any of 75 frames" in page.text
    assert "v1.mp4 is empty" in page.text
    assert "One row was left out." in page.text
    assert found.fingerprint in page.text
    assert page.text.index("train") < page.text.rindex("test")


def test_pictures_have_texts(tmp_path):
    store = full_store(tmp_path / "s")
    chosen = choose_examples(store.manifest)
    page = page_of(store)
    labels = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert sum(label.startswith("Frames of the face in clip ") for label in labels) == len(chosen.clear) + len(
        chosen.ambiguous
    )
    assert len(page.pictures) > len(chosen.clear) + len(chosen.ambiguous) > 2
    assert all(page.values("aria-label"))
    assert len(page.values("role")) >= 4


def test_charts_say_their_numbers_as_tables_too(tmp_path):
    store = full_store(tmp_path / "s")
    found = describe(store)
    page = description_page(store, found)
    tables = [
        [re.sub(r"<[^>]*>", " ", row).split() for row in table.split("<tr>")[2:]]
        for table in re.findall(r'<table class="numbers">(.*?)</table>', page, re.DOTALL)
    ]
    assert len(tables) == page.count("<svg ")
    shares = [f"{100 * clips / sum((*found.class_clips, found.num_unlabelled)):.1f}" for clips in found.class_clips]
    classes = [row[:3] for row in tables[0][: len(found.class_names)]]
    assert classes == [
        [name, str(clips), share] for name, clips, share in zip(NAMES, found.class_clips, shares, strict=True)
    ]
    matrix = [row[2:] for row in tables[1]]
    assert matrix == [[f"{100 * share:.1f}" for share in row or ()] for row in found.coexistence]
    lengths = tables[-1]
    assert sum(int(row[-1]) for row in lengths) == len(store)


def evil_store(folder: Path, text: str):
    names = (f"a {text}", "b", "c")
    manifest = manifest_of(
        [[6, 4, 0], [0, 9, 1], [3, 3, 4], [0, 0, 9]],
        names=names,
        subject=[f"s {text}"] * 4,
        split=["train", "test", None, "train"],
    ).with_notes(f"note {text}")
    table = manifest.table.with_columns(video_id=manifest.table["video_id"] + " " + text)
    manifest = Manifest(names, table, f"set {text}", manifest.notes)
    failed = {i: Outcome(i, "x.mp4", "failed", f"kind {text}", f"detail {text}") for i in manifest.video_ids[3:]}
    store = store_of(manifest, folder, outcomes=failed)
    store.dataset = f"set {text}"
    return store


def test_what_users_wrote_stays_text(tmp_path):
    plain, page = (page_of(evil_store(tmp_path / name, text)) for name, text in (("a", "x"), ("b", EVIL)))
    assert page.tags == plain.tags
    assert {(tag, name) for tag, name, _ in page.attributes} == {(tag, name) for tag, name, _ in plain.attributes}
    for what in ("set", "note", "kind", "detail", "v0"):
        assert f"{what} {EVIL}" in page.text, what
    assert EVIL[:20] in page.text


@given(text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
@settings(max_examples=40, deadline=None)
def test_any_text_leaves_the_page_as_it_is(text):
    environment = page_environment()
    written = environment.from_string("<p title='{{ text }}'>{{ text }}</p>").render(text=text)
    page = Page(written)
    assert page.attributes == [("p", "title", clean_text(text))]
    assert "".join(page.texts) == clean_text(text)


def test_text_that_no_page_may_hold():
    assert clean_text("a\x00b\ud800c\u202egnp\u2066\n d") == "a\ufffdb\ufffdc\ufffdgnp\ufffd d"
    assert clean_text("\u8868\u60c5 \U0001f642") == "\u8868\u60c5 \U0001f642"
    long = clean_text("x" * 5000 + "end")
    assert len(long) == 600
    assert long.endswith("xend")


def test_a_name_with_half_a_character_is_written(tmp_path):
    store = store_of(manifest_of([[3, 1, 0]]), tmp_path / "s")
    store.dataset = "half \ud800"  # JSON can hold it, UTF-8 cannot
    written = write_description_page(store, describe(store), tmp_path / "p").read_text(encoding="utf-8")
    assert "half \ufffd" in written


def test_pages_at_the_edges(tmp_path):
    lost = {"v0": Outcome("v0", "v0.mp4", "failed", "no face", "none"), "v1": Outcome("v1", "v1.mp4", "pending")}
    nothing = page_of(store_of(manifest_of([[1, 0, 0]] * 2), tmp_path / "nothing", outcomes=lost))
    assert "No clip can be used." in nothing.text
    assert "1 clip not prepared yet" in nothing.text
    assert "classes" not in nothing.values("id")
    stills = page_of(store_of(manifest_of([None] * 3, ["sad", "sad", "happy"]), tmp_path / "stills", lengths=[1] * 3))
    assert "Every clip has 1 frame; 3 in all." in stills.text
    assert {"coexistence", "ambiguity", "agreement"}.isdisjoint(stills.values("id"))
    assert len(stills.pictures) == 2 + 1
    one_class = page_of(manifest_of([[3], [1]], names=("only",)))
    assert {"coexistence", "examples", "failures", "lengths"}.isdisjoint(one_class.values("id"))
    assert "All votes are for one class" in one_class.text
    many = tuple(f"class {i}" for i in range(40))
    assert "more than 30 classes" in page_of(manifest_of([[1] * 40], names=many)).text
    assert page_of(manifest_of([None], [None])).text
    wide = page_of(store_of(manifest_of([[1, 0, 0]] * 4), tmp_path / "wide", lengths=[3, 4, 5, 90]))
    assert "logarithmic" in wide.text


def test_many_notes_failures_and_folds_are_counted():
    manifest = manifest_of([[3, 1, 0]] * 30, fold=list(range(1, 31))).with_notes(*(f"note {i}!" for i in range(50)))
    page = page_of(manifest)
    assert "note 39!" in page.text
    assert "note 40!" not in page.text
    assert "And 10 more." in page.text
    assert "And 18 more." in page.text


def test_the_size_does_not_grow_with_the_clips():
    few, many = (manifest_of(some_votes(n), fold=[1 + i % 5 for i in range(n)]) for n in (20, 4000))
    sizes = [len(description_page(m, describe(m))) for m in (few, many)]
    assert abs(sizes[1] - sizes[0]) < 1000


def test_the_same_store_gives_the_same_page(tmp_path):
    store = full_store(tmp_path / "s")
    pages = [write_description_page(store, describe(store), tmp_path / name).read_bytes() for name in "ab"]
    assert pages[0] == pages[1]


def test_the_command_writes_it(tmp_path, capsys):
    make_store(tmp_path, 6)
    assert main(["describe", str(tmp_path / "store")]) == 0
    path = tmp_path / "store" / "description" / "description.html"
    assert f"  {path}\n" in capsys.readouterr().out
    page = Page(path.read_text(encoding="utf-8"))
    assert "toy" in page.text
    assert path.stat().st_size < 3_000_000


def test_a_page_that_cannot_be_written(tmp_path):
    manifest = manifest_of([[3, 1, 0]])
    (tmp_path / "file").write_text("")
    with pytest.raises(JobError):
        write_description_page(manifest, describe(manifest), tmp_path / "file")


def decoded(uri: str) -> np.ndarray:
    data = np.frombuffer(base64.b64decode(uri.partition("base64,")[2]), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)


def test_pictures_are_as_short_as_they_can_be():
    flat = np.full((40, 60, 3), (200, 30, 90), np.uint8)
    uri = picture_uri(flat, 30)
    assert uri.startswith("data:image/png;base64,")
    np.testing.assert_array_equal(decoded(uri), flat[:20, :30])
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    assert picture_uri(noise, 64).startswith("data:image/jpeg;base64,")
    assert decoded(picture_uri(noise, 200)).shape == (64, 64, 3)
    assert decoded(picture_uri(np.zeros((400, 1, 3), np.uint8), 10)).shape == (10, 1, 3)


def test_the_names_of_the_classes_have_their_colours():
    page = description_page(manifest_of([[3, 1, 0]]), describe(manifest_of([[3, 1, 0]])))
    assert len(NAMES) == 3
    assert "fill:color-mix(in srgb,#e69f00 var(--vivid),#fff)" in page  # happy
    assert "fill:color-mix(in srgb,#0072b2 var(--vivid),#fff)" in page  # sad
