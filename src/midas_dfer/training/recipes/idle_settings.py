"""Settings that a recipe leaves without effect."""

from midas_dfer.mixing import MIXERS
from midas_dfer.training.learners import LEARNERS, PLAIN
from midas_dfer.training.recipes.config import RunConfig

_OF_PAIRS = ("alpha", "ratio_per", "partners", "class_balanced")
_OF_MIDAS = ("normalization", "temperature", "num_votes")

_OF_LEARNERS = frozenset(name for entry in LEARNERS.own.values() for name in entry.settings)


def without_effect(config: RunConfig) -> dict[str, str]:
    """Name the settings that could have any value without a change to the training, and say why.

    What is left to its default does no harm; what somebody asks for should do something. A value that says no more
    than what is so anyway, such as no normalisation where nothing is mixed, is none of them.
    """
    names, mixers = config.mixer_names, [MIXERS[name] for name in config.mixer_names]
    idle: dict[str, str] = {}
    if not names:
        idle |= dict.fromkeys((*_OF_PAIRS, *_OF_MIDAS, "saliency"), "with --mixer none nothing is mixed")
    elif not any(mixer.has_partners for mixer in mixers):
        idle |= dict.fromkeys(_OF_PAIRS, f"{config.mixer} mixes no pairs of clips")
    if names and not any(mixer.looks for mixer in mixers):
        idle["saliency"] = f"--mixer {config.mixer} does not look at the picture"
    if names and not any("normalization" in mixer.settings for mixer in mixers):
        idle |= dict.fromkeys(_OF_MIDAS, f"--mixer {config.mixer} does not normalise labels, as midas does")
    elif names and config.normalization == "none":
        idle |= dict.fromkeys(("temperature", "num_votes"), "with --normalization none there is no softmax")
    elif names and config.normalization == "softmax":
        idle["num_votes"] = "it belongs to --normalization softmax_counts"
    if config.schedule == "cosine":
        idle["decay_factor"] = "--schedule cosine falls to 0 along a cosine"
    elif config.schedule == "step" and not config.milestones:
        idle["decay_factor"] = "--schedule step without --milestones is constant"
    taken = () if config.learner == PLAIN else LEARNERS[config.learner].settings
    idle |= dict.fromkeys(_OF_LEARNERS.difference(taken), f"it is no setting of --learner {config.learner}")
    if "relabel_epoch" in taken and config.labels not in ("soft", "hard"):
        idle["relabel_epoch"] = f"with --labels {config.labels} a clip has several labels, and none is changed"
    if "relabel_epoch" in taken and config.mixes_pairs:
        idle["relabel_epoch"] = f"--mixer {config.mixer} mixes pairs of clips, so none is relabelled; add --mixer none"
    if config.soft_labels_of is None:
        idle["soft_label_weight"] = "it belongs to --soft_labels_of"
    if config.cache == "none":
        idle["cache_gb"] = "with --cache none no frames are kept"
    true_anyway = {"normalization": "none", "class_balanced": False}
    return {name: why for name, why in idle.items() if getattr(config, name) != true_anyway.get(name, ...)}
