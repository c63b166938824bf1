"""What a figure was measured on."""

import os
import platform
import resource
import sys
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


def peak_megabytes() -> float:
    """The most memory that this process ever held at once, in MB (10^6 bytes)."""
    status = Path("/proc/self/status")
    if status.exists():  # the other count begins with the memory of the process that started this one
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
