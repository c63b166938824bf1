"""The readers that come with the package: trained models, ready for use, a folder each as `midas export` writes it.

`start` begins a training from one of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True)
class Reader:
    """A packaged reader.

    Attributes:
        name: what it is asked for by.
        about: what it says of a face, and what it learned from.
        limits: what it is for, and what it is not.
        source: of its training data, and under which terms.
    """

    name: str
    about: str
    limits: str
    source: str

    @property
    def folder(self) -> Path:
        """Where it lies, in the installed package: never written to."""
        return Path(__file__).with_name(self.name)


_ALL = (
    Reader(
        name="ferplus",
        about="how ten people would vote on a face, learned from the still pictures of FER+",
        limits="it tells the expression as people see it, not what a person feels; made for research, not for judging "
        "or monitoring anyone",
        source="FER+ (votes MIT; pictures for research), begun from SFace (Apache-2.0)",
    ),
)

READERS: Mapping[str, Reader] = MappingProxyType({reader.name: reader for reader in _ALL})
"""By name."""

DEFAULT_READER = READERS["ferplus"]
"""The one that reads where none is named."""
