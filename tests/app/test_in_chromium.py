"""The pages in a real browser: a video is read and moved through by keys; a camera is read."""

import re
import shutil
from io import BytesIO

import pytest
from PIL import Image
from polars import read_csv

from midas_dfer.app.annotate.project import Rules, make_project
from midas_dfer.app.server import AppSettings
from midas_dfer.predict.predictor import Predictor
from midas_dfer.sharing.trained import packaged_reader
from midas_dfer.video.read import iter_frames
from tests.app.conftest import KEY, no_reader, served
from tests.support.app import FACE, write_face

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")
PACKAGED = packaged_reader().info.class_names
PATIENCE = 60_000  # milliseconds


@pytest.fixture(scope="module")
def browser(running, tmp_path_factory):
    """Chromium, whose camera shows a real face."""
    camera = tmp_path_factory.mktemp("camera") / "face.mjpeg"
    with camera.open("wb") as file:
        for frame in iter_frames(running.folder / "face.mp4"):
            content = BytesIO()
            Image.fromarray(frame.image).save(content, "JPEG", quality=90)
            file.write(content.getvalue())
    arguments = [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera}",
    ]
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def page(browser, running):
    """A page that has entered by the address of the terminal; errors and requests to elsewhere fail the test."""
    context = browser.new_context(locale="en-GB", permissions=["camera"], viewport={"width": 1280, "height": 900})
    opened, wrong = context.new_page(), []
    opened.set_default_timeout(PATIENCE)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("request", lambda request: None if running.host in request.url else wrong.append(request.url))
    opened.goto(f"{running.address}/enter#{KEY}")
    opened.wait_for_selector("#ready:enabled")
    yield opened
    context.close()
    assert not [each for each in wrong if not each.startswith(("blob:", "data:"))]


def test_a_video_is_read_and_moved_through(page, running):
    assert "#" not in page.url
    page.set_input_files("#file", running.folder / "face.mp4")
    page.wait_for_selector("#saving:not([hidden])")
    chart = page.locator(".chart")
    assert page.inner_text("#said") == "face.mp4: read"
    page.wait_for_function("() => document.getElementById('video').readyState > 1")
    chart.focus()
    page.keyboard.press("End")
    page.wait_for_function("() => document.getElementById('video').currentTime > 0.3")
    told = chart.get_attribute("aria-valuetext")
    assert "happy" in told
    assert told == page.inner_text(".told")
    assert page.evaluate(
        "[...document.getElementById('boxes').getContext('2d').getImageData(0, 0, 900, 500).data].some((v) => v)"
    )
    with page.expect_download() as saved:
        page.click("#csv")
    assert saved.value.suggested_filename == "timeline.csv"
    page.click("#again")
    assert page.is_visible("#drop")


def test_hours_are_zoomed_into_and_come_back_to(page, running):
    """Two hours of readings in the place of a second's: drawing is bounded by pixels, a part is chosen by keys."""

    def lengthen(route):
        answer = route.fetch()
        values = answer.json()
        (face,) = values["tracks"]
        window = face["windows"][0]
        spans = {1: range(14_400), **{n: range(7200 + 20 * n, 7210 + 20 * n) for n in range(2, 16)}}
        tracks = [
            {**face, "track": n, "windows": [{**window, "start": k / 2, "end": k / 2 + 2} for k in span]}
            for n, span in spans.items()
        ]
        route.fulfill(response=answer, json={**values, "duration": 7202, "tracks": tracks})

    page.route("**/timeline", lengthen)
    page.route(
        "**/copy", lambda route: route.fulfill(json={"state": "no_room", "need": 5e9, "free": 3e9, "spare": 1e9})
    )
    page.set_input_files("#file", running.folder / "face.mp4")
    page.wait_for_selector("#saving:not([hidden])")
    page.wait_for_function("() => document.getElementById('copying').textContent")
    assert "needs a copy of about 5 GB, and of the 3 GB that are free on the disk 1 GB" in page.inner_text("#copying")
    assert page.inner_text("#part") == "0:00 to 2:00:02"
    assert page.inner_text("#others").startswith("The faces that are longest in this part are shown, 3 are not")
    assert page.locator(".face:visible").count() == 12
    drawn = page.locator(".chart").first.locator("polygon").first.get_attribute("points")
    assert 1000 < drawn.count(",") < 2 * 1114 + 9
    ticks = page.locator(".face").first.locator(".ticks span").all_inner_texts()
    assert ticks[:2] + ticks[-1:] == ["0:00", "10:00", "2:00:00"]
    chart = page.locator(".chart").first
    assert page.locator(".face:not([hidden])", has_text="Face 15").count() == 0
    page.evaluate("window.scrollTo(0, 0)")
    chart.click(position={"x": 1114 * 3751 / 7202, "y": 50})  # where face 15 is
    page.wait_for_selector(".face:not([hidden]):has-text('Face 15')")
    assert page.locator(".face:visible").count() == 12
    chart.click(position={"x": 0, "y": 50})
    page.keyboard.press("Home")
    page.keyboard.press("PageUp")
    assert chart.get_attribute("aria-valuetext").startswith("12:01: ")
    for _ in range(14):
        page.keyboard.press("+")
    page.wait_for_selector("#part:text-is('11:59 to 12:23')")
    strip = page.locator("#strip")
    strip.focus()
    page.keyboard.press("End")
    page.wait_for_selector("#part:text-is('1:59:37 to 2:00:02')")
    assert strip.get_attribute("aria-valuetext") == "1:59:37 to 2:00:02"
    chart.focus()
    page.keyboard.press("End")  # a time that cannot be seen is gone to
    page.keyboard.press("Home")
    page.wait_for_selector("#part:text-is('0:00 to 0:25')")
    page.keyboard.press("0")
    page.wait_for_selector("#part:text-is('0:00 to 2:00:02')")
    page.unroute("**/timeline")
    page.click("text=Video")  # leaves it as it is
    page.click("#readings button")
    page.wait_for_selector("#saving:not([hidden])")
    page.reload()
    page.wait_for_selector("#saving:not([hidden])")
    assert page.inner_text("#said") == "face.mp4: read"
    assert page.is_hidden("#zoom")


def test_a_file_of_the_folder_and_what_is_wrong_with_it(page):
    page.click("text=broken.mp4")
    page.wait_for_selector(".said.wrong")
    assert "broken.mp4: is not a video that can be read" in page.inner_text("#said")
    page.click("#again")
    page.select_option("#language", "de")
    page.wait_for_selector("text=Video hier ablegen")
    assert page.get_attribute("html", "lang") == "de"


def test_a_camera_is_read_and_switched_off(page):
    page.click("text=Camera")
    page.wait_for_url("**/live")  # and until its script runs
    page.click("#camera")
    page.wait_for_selector(".bar")
    page.wait_for_function("() => document.querySelector('.bar b') && document.querySelector('.bar b').textContent")
    shares = page.eval_on_selector_all(".bar b", "(all) => all.map((each) => parseInt(each.textContent))")
    assert 95 <= sum(shares) <= 105
    assert "frames a second" in page.inner_text("#latency")
    page.click("#camera")
    assert page.is_hidden("#live")
    assert page.evaluate("document.getElementById('video').srcObject") is None
    with page.expect_download() as saved:
        page.click("#save")
    assert re.fullmatch(r"readings \d{4}-\d\d-\d\dT\d{6}\.csv", saved.value.suggested_filename)
    table = read_csv(saved.value.path())
    assert page.inner_text("#save").startswith(f"Save {len(table)} reading")
    columns = ["track", "start", "end", "predicted", *(f"vote_share_{name}" for name in PACKAGED), "silent"]
    assert table.columns == columns
    assert set(table["track"]) == {1}
    assert all(0 <= start < end < 60 for start, end in table.select("start", "end").rows())
    for row in table.iter_rows(named=True):
        shares = {name: row[f"vote_share_{name}"] for name in PACKAGED}
        assert row["predicted"] == max(shares, key=shares.get)
        assert sum(shares.values()) == pytest.approx(1, abs=0.001)


def test_where_the_model_is_silent_its_reason_is_said(page, running):
    readings = running.app.state.readings
    readings.use(lambda: Predictor.from_pretrained("ferplus", abstain=0.012))
    try:
        page.set_input_files("#file", running.folder / "face.mp4")
        page.wait_for_selector("#saving:not([hidden])")
        told = page.inner_text(".told")
    finally:
        readings.use(lambda: Predictor.from_pretrained("ferplus"))
    assert re.fullmatch(r"0\.\d s: people would disagree \(\w+ \d+%.*\)", told)
    assert page.inner_text("#legend li:last-child") == "people would disagree"
    assert "at most 1.2% of its answers are wrong. Caution: measured on still pictures" in page.inner_text("#meaning")
    assert page.evaluate(
        "[...document.querySelector('.silence').getContext('2d').getImageData(0, 0, 70, 10).data].some((v) => v)"
    )


def test_a_wrong_key_opens_nothing(browser, running):
    context = browser.new_context(locale="ja")
    opened = context.new_page()
    opened.goto(f"{running.address}/")
    opened.fill("#key", "wrong")
    opened.click("button.primary")
    opened.wait_for_selector(".said.wrong")
    assert "この鍵では入れません。" in opened.inner_text("#said")
    assert opened.url.endswith("/enter")
    opened.goto(f"{running.address}/enter#{KEY}")  # the right one, in the same page
    opened.wait_for_selector("#drop")
    context.close()


@pytest.fixture
def project(tmp_path):
    """Three clips, one of which no browser plays, that several emotions may be named of."""
    clips = tmp_path / "clips"
    clips.mkdir()
    write_face(clips / "one.mp4", 5)
    (clips / "two.mp4").write_bytes((clips / "one.mp4").read_bytes() + b" ")
    shutil.copy(FACE, clips / "three.flv")
    rules = Rules(several=True, unsure=True)
    return make_project(tmp_path / "project", clips, ("happy", "sad", "neutral"), rules)


def test_a_person_votes_and_the_organiser_looks_on(browser, project):
    with served(AppSettings(no_reader, project=project)) as running:
        organiser = browser.new_context(locale="en").new_page()
        organiser.goto(f"{running.address}/enter#{KEY}")
        organiser.wait_for_url("**/project")
        organiser.wait_for_selector("#clips tbody tr")
        person = browser.new_context(locale="en", viewport={"width": 400, "height": 800}).new_page()
        wrong = []
        person.on("pageerror", lambda error: wrong.append(str(error)))
        person.goto(organiser.input_value("#join"))
        person.fill("#name", "Ada")
        person.click("#join button")
        person.wait_for_selector("#joined:not([hidden])")
        assert person.input_value("#own").startswith(f"{running.address}/enter#")
        person.click("#joined a")
        person.wait_for_selector("#briefing:not([hidden])")
        assert person.get_attribute("#video", "src") is None  # no clip is shown before
        person.keyboard.press("1")
        copy = {"state": "copying", "share": 0.5, "need": 0, "free": 0, "spare": 0, "error": ""}
        person.route("**/copy", lambda route: route.fulfill(json=copy))
        person.click("#begin")
        person.wait_for_selector("#copying:has-text('50%')")  # a clip that cannot be seen yet cannot be judged
        person.keyboard.press("1")
        assert person.evaluate("document.getElementById('answers').inert && document.getElementById('next').disabled")
        assert person.get_attribute("#answers button", "aria-pressed") == "false"
        person.unroute("**/copy")
        for number, keys in enumerate((["1", "3", "Enter"], ["u"], ["2", "Enter"])):
            person.wait_for_function(
                f"() => document.getElementById('left').textContent.startsWith('{number} answered')"
            )
            person.wait_for_function("() => document.getElementById('video').readyState > 1")
            for key in keys:
                person.keyboard.press(key)
        person.wait_for_selector("#finished:not([hidden])")
        person.keyboard.press("Backspace")
        person.wait_for_selector("#answers button")
        assert person.inner_text("#left") == "2 answered, 1 left"
        person.click("#answers button:nth-child(1)")
        person.click("#next")
        person.wait_for_selector("text=That was all, Ada")
        assert wrong == []
        organiser.reload()
        organiser.wait_for_selector("#people tbody tr")
        cells = organiser.eval_on_selector_all("#people tbody tr *", "(all) => all.map((each) => each.textContent)")
        assert cells[:3] == ["Ada", "2", "1"]
        assert organiser.locator("#clips .ribbon").count() == 2
        organiser.click("#train")
        organiser.wait_for_selector(".said.wrong")
        assert "train when 8 or more" in organiser.inner_text("#said")
        organiser.click("#remove_1")
        assert organiser.inner_text("#sure_yes") == "Delete Ada and 3 answers for good"
        organiser.keyboard.press("Escape")
        assert organiser.locator("#people tbody tr").count() == 1
        organiser.click("#remove_1")
        organiser.click("#sure_yes")
        organiser.wait_for_selector("text=1 person was deleted, with all answers.")
        person.reload()
        person.wait_for_url("**/enter")
        for each in (organiser, person):
            each.context.close()
