"""Take the pictures of docs/app.md: the demo's real face in `midas app`, and the votes of five people who are made up.

`python -m studies.app_pictures` rewrites docs/images/app_read.png and app_votes.png. It needs Chromium and the extra
`dev`.
"""

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import midas_dfer
from midas_dfer.app.annotate.project import Project, Rules, make_project
from midas_dfer.app.annotate.session import Session
from midas_dfer.app.annotate.votes import VoteStore
from midas_dfer.synthetic import write_new_video

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
CLASSES = ("happy", "sad", "angry", "surprise", "neutral")
PEOPLE = {"Ada": 0.9, "Ben": 0.85, "Cleo": 0.8, "Dev": 0.75, "Eva": 0.55}
"""Who votes, and how often for the emotion that is drawn."""
WIDTH, HEIGHT, TALLEST = 1280, 820, 1400


def main() -> None:
    """Take both."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "videos").mkdir()
        shutil.copy(next((Path(midas_dfer.__file__).parent / "demo_data").glob("*.flv")), folder / "videos")
        vote(make_clips(folder))
        with opened(folder / "videos", folder / "project") as page:
            page.click("#files button")
            page.wait_for_selector("#saving:not([hidden])")
            page.wait_for_function("() => document.getElementById('video').readyState > 1")
            page.locator(".chart").focus()
            for _ in range(3):
                page.keyboard.press("ArrowRight")
            page.wait_for_timeout(3000)  # the video's own sign of waiting goes
            keep(page, "app_read.png")
            page.goto(f"{page.url.split('/', 3)[0]}//{page.url.split('/')[2]}/project")
            page.wait_for_selector("#people tr")
            keep(page, "app_votes.png")


def make_clips(folder: Path) -> Project:
    """A project of twelve clips of people who are no people."""
    (folder / "clips").mkdir()
    for number in range(12):
        emotion = CLASSES[number % len(CLASSES)]
        write_new_video(folder / "clips" / f"{number + 1:02}_{emotion}.mp4", seed=number, emotions=(emotion,))
    return make_project(folder / "project", folder / "clips", CLASSES, Rules(repeats=0.25))


def vote(project: Project) -> None:
    """Let everybody vote on nearly all clips."""
    with VoteStore(project) as store:
        session = Session(project, store)
        for name, care in PEOPLE.items():
            draw, (person, _) = random.Random(name), store.add_annotator(name)  # noqa: S311
            for _ in range(draw.randint(9, 15)):
                task = session.task(person)
                if task.clip_id is None:
                    break
                true = project.clip(task.clip_id).path.partition("_")[2].removesuffix(".mp4")
                said = () if draw.random() < 0.05 else (true if draw.random() < care else draw.choice(CLASSES),)
                session.vote(person, task.clip_id, task.number, said, round(1000 * draw.lognormvariate(1.2, 0.4)))


@contextmanager
def opened(videos: Path, project: Path) -> Iterator[Page]:
    """The first page, entered by the address that the command prints."""
    command = [sys.executable, "-m", "midas_dfer", "app", "--folder", str(videos), "--out", str(project)]
    command += ["--window", "0.4", "--stride", "0.1"]  # the clip has two seconds
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with subprocess.Popen([*command, "--port", "0", "--no_browser"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None  # noqa: S101
        address = re.search(r"http://\S+", server.stdout.readline())
        if address is None:
            raise SystemExit("midas app did not start")
        with sync_playwright() as driver:
            arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
            browser = driver.chromium.launch(executable_path=chromium, args=arguments)
            page = browser.new_page(locale="en-GB", viewport={"width": WIDTH, "height": HEIGHT})
            page.goto(address[0])
            page.wait_for_selector("#files button")
            yield page
            browser.close()
        server.terminate()


def keep(page: Page, name: str) -> None:
    """Write what the page shows."""
    picture = Image.open(BytesIO(page.screenshot(full_page=True))).convert("RGB")
    picture = picture.crop((0, 0, picture.width, min(picture.height, TALLEST)))
    picture.save(IMAGES / name, optimize=True)
    print(f"  {IMAGES / name}: {picture.width}x{picture.height}")


if __name__ == "__main__":
    main()
