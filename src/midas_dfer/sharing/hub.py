"""The Hugging Face Hub, only where it is asked for: `hub:org/name` -> a folder in the Hub's cache; a folder -> the Hub.

The package `huggingface_hub` (the extra "hub") speaks to it, with its own login, cache and settings (`HF_TOKEN`,
`HF_HOME`, `HF_HUB_OFFLINE`, `HF_ENDPOINT`). Of a repository, the files of an exported model are taken, nothing else:
JSON, text and safetensors. Each is compared with the checksum that the Hub or its cache has of it.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from midas_dfer.errors import JobError, MidasError, RequestError, first_line
from midas_dfer.sharing.exported import CARD_FILE, CONFIG_FILE, ONNX_FILE, WEIGHTS_FILE, is_exported
from midas_dfer.training.scoring.held_out import ABSTENTION_FILE
from midas_dfer.version import __version__

PREFIX = "hub:"
_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAIN = "main"
_LARGEST = {WEIGHTS_FILE: 2_000_000_000}  # bytes; ONNX and the networks that there are need less
_LARGEST_TEXT = 5_000_000
_TIMEOUT = 10.0  # s, for the answer that tells what there is


@dataclass(frozen=True)
class OnHub:
    """A model of the Hub, at one commit, which never changes."""

    repo: str
    commit: str

    @property
    def named(self) -> str:
        """What names it on a command line."""
        return f"{PREFIX}{self.repo}@{self.commit}"

    @property
    def title(self) -> str:
        """What it is called in a sentence."""
        return f"the Hub's model {self.repo} (commit {self.commit[:7]})"


def is_hub_name(text: str) -> bool:
    """Whether it has the form of the name of a repository: org/name."""
    return _NAME.fullmatch(text) is not None


def get_from_hub(named: str, tell: Callable[[str], None]) -> tuple[Path, OnHub]:
    """Get a model of the Hub, or take it from the cache if it is there and is still the newest.

    Args:
        named: ``hub:org/name``, or ``hub:org/name@revision``: a branch, a tag or a commit.
        tell: is told that the cache was taken because the Hub cannot be reached.

    Returns:
        The folder, and which model it is.

    Raises:
        RequestError: there is no such model, or it is not one of ours, too large or damaged; or the extra is missing.
        JobError: the Hub cannot be reached, and the model is not in the cache.
    """
    repo, _, revision = named.removeprefix(PREFIX).partition("@")
    revision = revision or _MAIN
    if not is_hub_name(repo):
        raise RequestError(
            f"{named} names no model of the Hugging Face Hub; expected hub:ORG/NAME or hub:ORG/NAME@REVISION"
        )
    api = _api("reading from")
    if _COMMIT.fullmatch(revision) and (folder := _cached(repo, revision)) is not None:
        return _checked(folder, repo), OnHub(repo, revision)
    try:
        with _errors(repo, revision):
            return _downloaded(api, repo, revision)
    except _UnreachableError as error:
        folder = _cached(repo, revision)
        if folder is None:
            raise JobError(
                f"{error}, and {repo} ({revision}) is not in its cache here; try again with a network"
            ) from error
        tell(f"{error}; the copy of {repo} ({revision}) in its cache was taken, commit {folder.name[:7]}")
        return _checked(folder, repo), OnHub(repo, folder.name)


def _downloaded(api: Any, repo: str, revision: str) -> tuple[Path, OnHub]:  # noqa: ANN401 - HfApi, which is optional
    info = api.model_info(repo, revision=revision, files_metadata=True, timeout=_TIMEOUT)
    files = {each.rfilename: each for each in info.siblings if _is_ours(each.rfilename)}
    if missing := {CONFIG_FILE, WEIGHTS_FILE}.difference(files):
        raise _not_ours(repo, f"it has no {' and no '.join(sorted(missing))}")
    for name, file in files.items():
        if (file.size or 0) > (most := _LARGEST.get(name, _LARGEST_TEXT)):
            raise RequestError(
                f"{name} of {repo} on the Hub has {file.size / 1e6:.0f} MB; expected at most {most / 1e6:.0f}"
            )
    folder = Path(api.hf_hub_download(repo, CONFIG_FILE, revision=info.sha)).parent
    if not is_exported(folder):
        raise _not_ours(repo, f"its {CONFIG_FILE} does not name midas-dfer")
    for name in files:
        api.hf_hub_download(repo, name, revision=info.sha)
    if revision != info.sha:  # so that the cache knows what it stood for when there is no network
        api.hf_hub_download(repo, CONFIG_FILE, revision=revision)
    checksums = {name: file.blob_id if file.lfs is None else file.lfs.sha256 for name, file in files.items()}
    return _checked(folder, repo, checksums), OnHub(repo, info.sha)


def _cached(repo: str, revision: str) -> Path | None:
    """The folder in the cache of what a revision stood for when it was last got; None if it is not there, whole."""
    hub = import_module("huggingface_hub")
    found = [hub.try_to_load_from_cache(repo, name, revision=revision) for name in (CONFIG_FILE, WEIGHTS_FILE)]
    return Path(found[0]).parent if all(isinstance(each, str) for each in found) else None


def _checked(folder: Path, repo: str, checksums: dict[str, str] | None = None) -> Path:
    """Compare files with their checksums: the Hub's, or those by which its cache names them."""
    names = checksums or {path.name: path.resolve().name for path in folder.iterdir() if _is_ours(path.name)}
    for name, checksum in names.items():
        if len(checksum) == 64:
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        elif len(checksum) == 40:
            content = (folder / name).read_bytes()
            found = hashlib.sha1(
                b"blob %d\0" % len(content) + content, usedforsecurity=False
            ).hexdigest()  # as Git does
        else:  # a system whose cache has copies, not links
            continue
        if found != checksum:
            raise RequestError(
                f"{folder / name} is damaged: it is not the file that {repo} has on the Hub; remove "
                f"{folder.parent.parent}, and get it again"
            )
    return folder


def _is_ours(name: str) -> bool:
    """Whether a file belongs to an exported model that is read: not ONNX, and none in a folder."""
    listed = (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE, ABSTENTION_FILE)
    return name in listed or ("/" not in name and name.endswith(".txt"))


def _not_ours(repo: str, why: str) -> RequestError:
    return RequestError(
        f"{repo} on the Hub is not a model of midas-dfer: {why}; expected what midas export --push writes"
    )


@dataclass(frozen=True)
class Place:
    """Where on the Hub a model goes: a repository, whether it is there already, and which files it has.

    Attributes:
        visibility: of a repository that is there; None of a new one.
    """

    repo: str
    visibility: Literal["public", "private"] | None
    files: frozenset[str]


def find_place(repo: str) -> Place:
    """See whether a model may be pushed to a repository, before it is exported.

    Raises:
        RequestError: nobody is logged in, the name is none, or the repository holds something else; or the extra is
            missing.
        JobError: the Hub cannot be reached.
    """
    if not is_hub_name(repo):
        raise RequestError(f"--push {repo}: expected ORG/NAME, as on the Hugging Face Hub, such as my-lab/faces")
    api = _api("pushing to")
    if import_module("huggingface_hub").get_token() is None:
        raise RequestError(
            "nobody is logged in to the Hugging Face Hub; run hf auth login, or set HF_TOKEN, and try again"
        )
    with _errors(repo, _MAIN, pushing=True):
        if not api.repo_exists(repo):
            return Place(repo, None, frozenset())
        info = api.model_info(repo, files_metadata=True, timeout=_TIMEOUT)
        sizes = {each.rfilename: each.size or 0 for each in info.siblings}
        if CONFIG_FILE in sizes and sizes[CONFIG_FILE] <= _LARGEST_TEXT:
            ours = is_exported(Path(api.hf_hub_download(repo, CONFIG_FILE, revision=info.sha)).parent)
        else:
            ours = set(sizes) <= {".gitattributes", CARD_FILE}
    if not ours:
        raise RequestError(f"--push {repo}: it holds something that is not a model of midas-dfer; name another")
    return Place(repo, "private" if info.private else "public", frozenset(sizes))


def push(files: Sequence[Path], place: Place, *, public: bool, message: str) -> str:
    """Make a commit of an exported model's files; a new repository is private, unless it is to be public.

    Returns:
        the address of the commit.

    Raises:
        RequestError: this user may not write there.
        JobError: the Hub cannot be reached.
    """
    hub, api = import_module("huggingface_hub"), _api("pushing to")
    gone = place.files.intersection({ONNX_FILE, ABSTENTION_FILE}).difference(path.name for path in files)
    operations = [hub.CommitOperationAdd(path.name, str(path)) for path in files]
    operations += [hub.CommitOperationDelete(name) for name in sorted(gone)]  # those of an earlier model
    with _errors(place.repo, _MAIN, pushing=True):
        if place.visibility is None:
            api.create_repo(place.repo, private=not public)
        return str(api.create_commit(place.repo, operations, commit_message=message).commit_url)


def _api(purpose: str) -> Any:  # noqa: ANN401 - HfApi, which is optional
    if find_spec("huggingface_hub") is None:
        raise RequestError(
            f"{purpose} the Hugging Face Hub needs huggingface_hub, which is not installed; get it with: "
            'pip install "midas-dfer[hub]"'
        )
    return import_module("huggingface_hub").HfApi(library_name="midas-dfer", library_version=__version__)


class _UnreachableError(Exception):
    """The Hub does not answer, or is not to be asked."""


@contextmanager
def _errors(repo: str, revision: str, *, pushing: bool = False) -> Iterator[None]:
    """Turn errors of huggingface_hub into sentences; `_UnreachableError` where something in the cache may do."""
    errors = import_module("huggingface_hub.errors")
    try:
        yield
    except MidasError:
        raise
    except errors.GatedRepoError as error:
        raise RequestError(
            f"{repo} on the Hub is gated: ask for access on its page, then run hf auth login, and try again"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise RequestError(f"{repo} on the Hub has no revision {revision}; name a branch, a tag or a commit") from error
    except errors.RepositoryNotFoundError as error:
        raise RequestError(
            f"the Hub has no model {repo}, or it is private and you are not logged in (hf auth login) as somebody who "
            "may see it"
        ) from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status in (401, 403):
            raise RequestError(
                f"the Hub does not let you {'write to' if pushing else 'read'} {repo}; run hf auth login with a token "
                "that may, and try again"
            ) from error
        raise _unreachable(f"the Hub answers with an error ({first_line(error)})", pushing) from error
    except errors.HFValidationError as error:
        raise RequestError(f"{repo} is no name of a model on the Hub: {first_line(error)}") from error
    except errors.OfflineModeIsEnabled as error:
        raise _unreachable("the Hub is not asked while HF_HUB_OFFLINE is set", pushing) from error
    except (OSError, errors.HTTPError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise JobError(f"the Hub's cache cannot be used: {error}") from error
        raise _unreachable(f"the Hub cannot be reached ({first_line(error)})", pushing) from error
    except (RuntimeError, ValueError) as error:  # a file was not uploaded, or the card's front is not taken
        raise _unreachable(f"the Hub has not taken it: {first_line(error)}", pushing) from error


def _unreachable(what: str, pushing: bool) -> Exception:
    return JobError(f"{what}; nothing was pushed") if pushing else _UnreachableError(what)
