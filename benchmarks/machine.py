"""What a figure was measured on."""

import os
import platform
from importlib import metadata
from pathlib import Path


def processor() -> str:
    """The name of the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def machine(*packages: str) -> dict[str, str | int]:
    """The processor, its cores, and the versions of Python and of packages.

    Args:
        packages: names as pip knows them; a shorter one is written down where it is better known.
    """
    versions = {name.removesuffix("-python-headless"): metadata.version(name) for name in packages}
    return {"cpu": processor(), "cores": os.cpu_count() or 1, "python": platform.python_version(), **versions}
