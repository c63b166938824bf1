"""Damaged files for every reader: what each of them makes of thousands of them, and how long it takes.

`python -m benchmarks.fuzz --cases 2000` writes a small sound data set for every target of
`tests/support/fuzz_targets.py`, damages one file of it at a time (`tests/support/mutations.py`), and reads it in a
worker process that is watched: one that takes over 10 s for a file, dies or grows over 2 GB is a fault, and so is every
exception that is not a `MidasError`, a message that names no file or no row, a path outside of the data set, and
a trace of any kind on standard error; and, for the files of a store, everything that is read and is not what the sound
file gives. The files that made a fault are kept.
"""

import argparse
import json
import os
import platform
import re
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MOST_SECONDS = 10.0
MOST_MEGABYTES = 2000.0
LARGEST_VIDEO = 600_000


@dataclass
class Tally:
    """What became of the cases of one target."""

    read: int = 0
    refused: int = 0
    faults: list[dict[str, Any]] = field(default_factory=list)
    slowest: float = 0.0
    peak_mb: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: dict[str, Any]) -> None:
        """Count a case."""
        if outcome["result"] == "fault":
            self.faults.append(outcome)
        else:
            setattr(self, outcome["result"], getattr(self, outcome["result"]) + 1)
        self.slowest = max(self.slowest, outcome["seconds"])
        self.peak_mb = max(self.peak_mb, outcome.get("peak_mb", 0.0))
        self.kinds[re.sub(r"^.*?: ", "", outcome["kind"])] += 1
        if outcome["result"] == "refused":
            self.refusals[re.sub(r"'[^']*'|\S*/\S*|\d+", "#", outcome["detail"])[:160]] += 1


class Worker:
    """A process that reads damaged files of one target, and is killed when it takes too long."""

    def __init__(self, target: str, folder: Path, videos: Path | None) -> None:
        self.target, self.folder, self.videos = target, folder, videos
        self.process: subprocess.Popen[bytes] | None = None
        self.errors = folder / "stderr.txt"

    def start(self) -> None:
        """Start the process; it has written its data set when this returns."""
        command = [sys.executable, "-m", "benchmarks.fuzz", "--worker", self.target, "--folder", str(self.folder)]
        command += ["--videos", str(self.videos)] if self.videos else []
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        self._answer(120.0)

    def run(self, seed: int) -> dict[str, Any]:
        """Read the file of a seed."""
        if self.process is None:
            self.start()
        if self.process is None or self.process.stdin is None:
            raise RuntimeError("the worker did not start")
        before = self.errors.stat().st_size
        began = time.perf_counter()
        self.process.stdin.write(f"{seed}\n".encode())
        self.process.stdin.flush()
        answer = self._answer(MOST_SECONDS)
        if answer is None:
            code = self.process.poll()
            self.stop()
            detail = "no answer within 10 s" if code is None else f"the process died (status {code})"
            seconds = time.perf_counter() - began
            answer = {"target": self.target, "seed": seed, "kind": "?", "result": "fault", "detail": detail}
            answer["seconds"] = seconds
        with self.errors.open("rb") as errors:
            errors.seek(before)
            said = errors.read().decode(errors="replace")
        if answer["result"] != "fault" and re.search(r"Traceback|panicked|RUST_BACKTRACE|Segmentation", said):
            answer |= {"result": "fault", "detail": f"wrote a trace on standard error: {said[:1000]}"}
        if answer["result"] != "fault" and answer["peak_mb"] > MOST_MEGABYTES:
            answer |= {"result": "fault", "detail": f"took {answer['peak_mb']:.0f} MB"}
            self.stop()  # the peak of a process never falls again
        return answer

    def stop(self) -> None:
        """Kill the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        self.process = None

    def _answer(self, timeout: float) -> dict[str, Any] | None:
        if self.process is None or self.process.stdout is None:
            return None
        ready, _, _ = select.select([self.process.stdout], [], [], timeout)
        line = self.process.stdout.readline() if ready else b""
        found: dict[str, Any] | None = json.loads(line) if line else None
        return found


def work(name: str, folder: Path, videos: Path | None) -> None:
    """The worker's part: read a seed from standard input, answer with what became of it."""
    from tests.support.fuzz_targets import run_case

    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints is no answer
    target = all_targets(videos)[name]
    with tempfile.TemporaryDirectory(dir=folder) as own:
        root = Path(own) / "dataset"
        root.mkdir()
        target.write(root)
        answers.write(b'{"ready": true}\n')
        for line in sys.stdin:
            outcome = asdict(run_case(target, root, int(line)))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
            answers.write(json.dumps({**outcome, "peak_mb": peak}).encode() + b"\n")


def all_targets(videos: Path | None) -> dict[str, Any]:
    """Every target by name; real videos of up to 600 kB as one more, where their folder is given."""
    import shutil

    from tests.support.fuzz_runs import RUNS
    from tests.support.fuzz_targets import ANNOTATIONS, STORES, VIDEOS, Target, read_video

    found = {target.name: target for target in (*ANNOTATIONS, *VIDEOS, *STORES, *RUNS)}
    if videos is not None:
        files = [f for f in sorted(videos.iterdir()) if f.suffix != ".csv" and f.stat().st_size <= LARGEST_VIDEO]
        found["real videos"] = Target(
            "real videos",
            lambda root: [shutil.copy(file, root) for file in files],
            read_video,
            ("*.*",),
            annotations=False,
        )
    return found


def keep(outcome: dict[str, Any], folder: Path, videos: Path | None) -> None:
    """Write the damaged file of a fault, to look into it."""
    import random

    from tests.support.mutations import mutate

    target = all_targets(videos)[outcome["target"]]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        target.write(root)
        rng = random.Random(f"{target.name} {outcome['seed']}")  # noqa: S311 -- as the worker drew it
        file = rng.choice(target.files(root))
        mutant = mutate(file.read_bytes(), file.suffix.lower(), rng)
    folder.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"\W+", "-", target.name)
    (folder / f"{stem}-{outcome['seed']}-{file.name}").write_bytes(mutant.data)


def table(tallies: dict[str, Tally]) -> str:
    """The figures by target."""
    lines = [f"{'target':<26}{'cases':>7}{'read':>7}{'refused':>9}{'faults':>8}{'slowest s':>11}{'peak MB':>9}"]
    for name, t in tallies.items():
        cases = t.read + t.refused + len(t.faults)
        lines.append(
            f"{name:<26}{cases:>7}{t.read:>7}{t.refused:>9}{len(t.faults):>8}{t.slowest:>11.2f}{t.peak_mb:>9.0f}"
        )
    return "\n".join(lines)


def main() -> int:
    """Fuzz, print, write down; 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000, help="in all, shared out among the targets")
    parser.add_argument("--seed", type=int, default=0, help="of the first case; others give other damage")
    parser.add_argument("--only", default="", help="only targets whose name contains this")
    parser.add_argument("--videos", type=Path, help="a folder of real videos, the small ones of which are damaged too")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz.json"))
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="for the files that made a fault")
    parser.add_argument("--refusals", action="store_true", help="print every kind of refusal")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    request = parser.parse_args()
    if request.worker:
        work(request.worker, request.folder, request.videos)
        return 0
    names = [name for name in all_targets(request.videos) if request.only in name]
    tallies: dict[str, Tally] = {}
    began = time.perf_counter()
    for place, name in enumerate(names):
        tally = tallies[name] = Tally()
        cases = request.cases // len(names) + (place < request.cases % len(names))
        with tempfile.TemporaryDirectory() as folder:
            worker = Worker(name, Path(folder), request.videos)
            for seed in range(request.seed, request.seed + cases):
                outcome = worker.run(seed)
                tally.add(outcome)
                if outcome["result"] == "fault":
                    shown = outcome["detail"].encode(errors="backslashreplace").decode()
                    print(f"FAULT {name}, seed {seed}, {outcome['kind']}: {shown!a:.600}", flush=True)
                    keep(outcome, request.keep, request.videos)
            worker.stop()
        print(table({name: tally}).splitlines()[1], flush=True)
        for text, count in tally.refusals.most_common() if request.refusals else ():
            print(f"    {count:4} {text!a}")
    seconds = time.perf_counter() - began
    print(table(tallies))
    faults = sum(len(t.faults) for t in tallies.values())
    print(f"{request.cases} cases, {faults} faults, {seconds:.0f} s, seeds from {request.seed}")
    request.out.parent.mkdir(parents=True, exist_ok=True)
    about = {"cases": request.cases, "seed": request.seed, "seconds": seconds, "python": platform.python_version()}
    request.out.write_text(
        json.dumps({**about, "targets": {name: vars(tally) for name, tally in tallies.items()}}, indent=1) + "\n"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
