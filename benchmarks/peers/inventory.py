"""Which mixers a library has: where its files define something of that name."""

import importlib.util
import re
from pathlib import Path

NAMES: dict[str, str] = {
    "mixup": r"(Vanilla|Random|Image)?mix_?up(V2|Blending|_batch)?",
    "CutMix": r"(Random)?cut_?mix(V2|Blending|_batch)?",
    "VideoMix": r"video_?mix",
    "Cutout": r"cut_?out(_batch)?|Random_?Erasing",
    "SaliencyMix": r"saliency_?mix",
    "AttentiveCutMix": r"attentive_?(cut)?_?mix",
    "PuzzleMix": r"puzzle_?mix",
    "TransMix": r"trans_?mix",
    "ManifoldMixup": r"_?manifold_?mix(up)?",
    "PatchUp": r"patch_?up",
    "BackgroundMix": r"background_?mix",
}
"""A pattern, whatever the case, for the name of the class or function that does it."""

CHOICES = r"class (MixVideo|RandomBatchAugment|MixupPipeline|RandomChoice)\b|switch_prob=|random_apply:|mix_mode="
"""What shows that one of several mixers can be drawn: a class for it, or the setting that does it."""

FOLDERS: dict[str, str] = {
    "torchvision": "torchvision",
    "timm": "timm",
    "mmaction2": "mmaction",
    "PyTorchVideo": "pytorchvideo",
    "kornia": "kornia",
    "OpenMixup": "openmixup",
    "mixup": "mixup",
    "Composer": "composer",
}
"""The package of each library."""


def find_mixers(slowfast: Path | None) -> dict[str, dict[str, str]]:
    """For each library that is there, the first place that defines each mixer; "" where none does."""
    roots: dict[str, Path] = {}
    for library, package in FOLDERS.items():
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            roots[library] = Path(next(iter(spec.submodule_search_locations)))
    if slowfast is not None:
        roots["PySlowFast"] = slowfast / "slowfast"
    return {library: find_in(root) for library, root in roots.items()}


def find_in(root: Path) -> dict[str, str]:
    """The first definition of each mixer below a folder, as ``path:line``."""
    patterns = {name: re.compile(rf"^\s*(class|def) (?i:{pattern})\b(?!_)") for name, pattern in NAMES.items()}
    patterns["CutMix"] = re.compile(f"{patterns['CutMix'].pattern}|cutmix_alpha=")  # a setting of timm's Mixup
    patterns["one of several"] = re.compile(CHOICES)
    found = dict.fromkeys(patterns, "")
    # Tests and prototypes come last: a public definition is the better place to name.
    files = sorted(root.rglob("*.py"), key=lambda path: ("test" in str(path) or "prototype" in str(path), str(path)))
    for path in files:
        if "__pycache__" in path.parts:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            for name, pattern in patterns.items():
                if not found[name] and pattern.search(line):
                    found[name] = f"{path.relative_to(root.parent)}:{number}"
    return found
