"""One thing to read: a video, a picture, or a folder with the frames of one video."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

Kind = Literal["video", "picture", "frames"]


@dataclass(frozen=True)
class Source:
    """One thing to read.

    Attributes:
        path: the file; of frames, their folder.
    """

    path: Path
    kind: Kind

    @cached_property
    def place(self) -> Path:
        """The path from the root on; links in it are kept as they are named."""
        return Path(os.path.abspath(self.path))  # noqa: PTH100 - which would follow the links

    @property
    def name(self) -> str:
        """What its result is called if nothing else is: the file's name without suffix, or the folder's."""
        return self.place.name if self.kind == "frames" else self.place.stem

    def version(self) -> Mapping[str, int]:
        """What tells it from another under the same name; of frames, of all of them; nothing where it is not there."""
        try:
            files = [p for p in self.path.iterdir() if p.is_file()] if self.kind == "frames" else [self.path]
            stats = [each.stat() for each in files]
        except OSError:
            return {}
        return {
            "files": len(stats),
            "bytes": sum(each.st_size for each in stats),
            "changed": max((each.st_mtime_ns for each in stats), default=0),
        }
