"""Programs in processes of their own, as a user's are, that need not import torch and Lightning again each time.

The server of `multiprocessing` imports them once for all tests of a process, without the checks of annotations that
the tests install, and forks; nothing has run in it, so that no lock and no thread comes along.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    ["midas_dfer.cli.main", "midas_dfer.training.train", "midas_dfer.evaluation.evaluate", "tests.support.processes"]
)


def run_program(
    code: str, *arguments: object, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """As `python -c code arguments`; with no other variables than those of an environment, if one is given."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-c", *map(str, arguments)]
        known = dict(os.environ if environment is None else environment)
        process = _SERVER.Process(target=_run, args=(code, words, known, folder))
        process.start()
        process.join()
        out, err = ((Path(folder) / name).read_text(encoding="utf-8") for name in ("out", "err"))
        status = process.exitcode
        process.close()
    assert status is not None
    return subprocess.CompletedProcess(words, status, out, err)


def _run(code: str, words: list[str], environment: dict[str, str], folder: str) -> None:
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path not in sys.path]
    sys.argv = words
    try:
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - the tests' own programs
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    finally:
        sys.stdout.flush()
