"""One typed, validated description of a training run. Its defaults are the paper's recipe (section 4.3)."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from midas_dfer.errors import RequestError
from midas_dfer.labels import SoftLabelMethod
from midas_dfer.mixing import MIXERS
from midas_dfer.readers.start import find_start, named_reader
from midas_dfer.training.learners import LEARNERS, PLAIN
from midas_dfer.training.recipes.problems import problems
from midas_dfer.training.recipes.settings_file import read_settings_file
from midas_dfer.values import LARGEST, above, check_settings, within

SELECTED_ON_TEST = "selected on the test fold: an upper bound, not a score of unseen clips"
"""What is said of scores on the clips that `--select best_test_fold` chose the epoch by."""


@dataclass(frozen=True)
class RunConfig:
    """How to train a model. The four trainings that the paper compares differ only in `labels` and `mixer`.

    | training              | labels | mixer |
    |-----------------------|--------|-------|
    | hard                  | hard   | none  |
    | soft                  | soft   | none  |
    | MIDAS                 | soft   | midas |
    | MIDAS with hard labels| hard   | midas |

    Attributes:
        labels: soft, the distribution of the votes; hard, the single label; votes, each vote as a sample of its own, so
            that a clip with ten votes comes ten times an epoch; drawn_vote, one vote of each clip, drawn every epoch.
        label_method: how votes become soft labels; proportion, softmax_counts, softmax_proportions or laplace.
        votes_used: train on labels from this many votes of each clip, drawn by seed and video; a hard label is then
            the class with most of them. If not given, all votes, or the single labels that the clips came with.
        soft_labels_of: soft labels are in part what these finished runs predict for the training clips; run folders,
            separated by commas, or folders of such, as of midas crossval. Meant for clips with single labels.
        soft_label_weight: share of the prediction in these soft labels; the rest is the clip's own label.
        mixer: midas mixes pairs of clips and their labels (eq. 1-3); none trains on unmixed clips; see midas list
            mixers for others. With several, separated by commas, each batch uses one at random.
        alpha: parameter of the Beta(alpha, alpha) distribution of the mixing ratio; if not given, that of the mixer's
            publication, 0.4 for midas.
        saliency: what guides saliencymix, attentive_cutmix, puzzlemix and transmix; picture, salient pixels, or
            model, the activations of the model in training.
        ratio_per: one mixing ratio for each clip, or one for the whole batch.
        partners: where mixing partners come from; batch, or training_set (reads twice as many clips).
        class_balanced: draw partners so that every class is equally likely.
        normalization: of midas's mixed label; softmax (the paper's, for long trainings), softmax_counts, or none.
        temperature: of that softmax.
        num_votes: votes per clip, for softmax_counts; if not given, the training clips' mean.
        loss: cross_entropy is the paper's; see midas list losses for others.
        class_weights: of the cross-entropy; none, or balanced by class frequency in the votes.
        label_smoothing: of the cross-entropy; share of each target that is spread over all classes.
        learner: the method of the training step; plain is the loss of logits and targets, see midas list learners for
            others. They work in training only: the model stays an ordinary one.
        annotator_map: of crowd_layer; what it learns of each annotator: matrix, scale, bias or scale_bias.
        relabel_epoch: of scn; from this epoch on it relabels doubtful clips, if they are not mixed in pairs.
        ramp_epochs: of dmue; how many epochs it takes until the model's losses count in full.
        similarity_weight: of dmue; how much the similarity of clips counts. The authors' 1000 is for batches of 72.
        model: architecture; see midas list models. If not given, tsm_resnet18 (the paper's), or that of weights.
        width: channels of the first stage; fewer make a smaller network. If not given, 64, as in ResNet-18, or that
            of weights.
        weights: initial weights of the backbone; reader, the reader that comes with midas-dfer, or its name (midas
            list readers); a folder that midas export wrote; a file (.pth, .pt or .safetensors); or packaged, those
            that come with a package, for tsm_sface, still_sface and tsm_efficientnet_lite0. If not given, random.
        dropout: rate before the classifier.
        num_segments: number of equal segments of a clip, from each of which the model sees a frame.
        frames_per_segment: number of consecutive frames from each segment.
        size: side of the model's input pictures in pixels. If not given, 224, or that of weights.
        scales: of the multi-scale crop in training; 1 alone switches it off.
        flip: mirror clips at random in training.
        jitter: strength, from 0 to 1, of random rotation, shift, light, colour, blur, noise and occlusion in training.
        epochs: number of passes over the training clips.
        batch_size: clips per step.
        optimizer: sgd (the paper's), adam or adamw.
        learning_rate: at the start, or at the end of the warm-up.
        schedule: of the learning rate; cosine, which decays to 0 (the paper's); step, times decay_factor at each of
            the milestones, constant without any; or exponential, times decay_factor after each epoch.
        milestones: epochs after which the step schedule lowers the learning rate, such as [40, 80].
        decay_factor: what the learning rate is multiplied by in the schedules step and exponential; for
            exponential, use values such as 0.95.
        warmup_epochs: epochs in which the learning rate first rises linearly from a thousandth.
        momentum: of SGD; Adam's first beta.
        weight_decay: the paper does not give it; this is TSM's.
        parameter_groups: weights, no decay of biases and normalisation scales; uniform, decay of everything; or tsm,
            as weights, but with the TSM authors' learning rates: biases x2, the classifier's weights x5 and its
            biases x10.
        partial_batch_norm: freeze all batch norm layers but the first at the initial weights, as TSM does for small
            data sets.
        clip_gradient: maximum norm of the gradient of a step; if not given, unlimited.
        weight_average: share of a running average of the weights that each step keeps, such as 0.998; the average,
            which follows faster in the first steps, is validated and saved. 0 uses the weights themselves.
        test_fold: the held-out fold; if not given, the data set's own split, or its first fold.
        validation_fraction: fraction of the training clips to split off for validation (by subject if known); 0 if
            the data set has validation clips, or for none.
        use_unassigned: also train on clips that are in no fold and no split, such as DFEW's 4,313 without a single
            label; with soft labels only.
        group: which training clips; all, or one of the groups of section 5.5: clear, clips with over 0.9 of their
            votes in one class, or mixed, any clips, both with the class distribution of all.
        group_size: clips of that group per epoch, some of them repeated; if not given, as many as there are clear
            ones. The paper uses 4275.
        select: which epoch's weights to keep; last, best_validation (by UAR on the validation set), or
            best_test_fold (by UAR on the test clips themselves, as some published code does: such scores are an
            upper bound, and their evaluation says so).
        seed: of all random draws: initial weights, order, frames, crops, ratios, partners, dropout.
        precision: 32, bf16, or auto (bf16 where it is known to be faster: GPUs that have it, CPUs with AMX or AVX-512
            BF16).
        device: auto, cpu or cuda.
        devices: GPUs of this machine, or processes on its CPU, that share each batch and train one model; for several
            machines, torchrun -m midas_dfer train.
        num_threads: CPU threads; 0 leaves it to PyTorch. Results are bit-identical only for the same number.
        num_workers: processes that read clips; -1 uses all spare cores.
        compile: turn the network into fewer, faster kernels (torch.compile), on a GPU as a CUDA graph; takes a minute
            or more at the start.
        cache: keep frames once they are decoded; ram, in this machine's memory, or device, on the GPU, which then crops
            them, too. Batches stay the same to the bit. Where not all frames fit, those drawn again soonest are kept.
        cache_gb: memory for these frames in GB; if not given, three quarters of what is free.
    """

    labels: Literal["soft", "hard", "votes", "drawn_vote"] = "soft"
    label_method: SoftLabelMethod = "proportion"
    votes_used: int | None = within(None, 1)
    soft_labels_of: str | None = None
    soft_label_weight: float = above(0.5, 0, 1)
    mixer: str = "midas"
    alpha: float | None = above(None, 0)
    saliency: Literal["picture", "model"] = "picture"
    ratio_per: Literal["clip", "batch"] = "clip"
    partners: Literal["batch", "training_set"] = "batch"
    class_balanced: bool = False
    normalization: Literal["softmax", "softmax_counts", "none"] = "softmax"
    temperature: float = above(1.0, 0)
    num_votes: float | None = above(None, 0)
    loss: str = "cross_entropy"
    class_weights: Literal["none", "balanced"] = "none"
    label_smoothing: float = within(0.0, 0, 0.99)
    learner: str = PLAIN
    annotator_map: Literal["matrix", "scale", "bias", "scale_bias"] = "matrix"
    relabel_epoch: int = within(10, 1)
    ramp_epochs: int = within(6, 1)
    similarity_weight: float = within(1000.0, 0)
    model: str = None  # type: ignore[assignment]  # never None once it is made, as width and size
    width: int = within(None, 8, 512)
    weights: str | None = None
    dropout: float = within(0.5, 0, 0.99)
    num_segments: int = within(8, 1, 512)
    frames_per_segment: int = within(1, 1, 64)
    size: int = within(None, 24, 1024)
    scales: tuple[float, ...] = within((1.0, 0.875, 0.75, 0.66), 0.1, 1)
    flip: bool = True
    jitter: float = within(0.0, 0, 1)
    epochs: int = within(450, 1)
    batch_size: int = within(8, 1)
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: float = above(0.02, 0)
    schedule: Literal["cosine", "step", "exponential"] = "cosine"
    milestones: tuple[int, ...] = within((), 1)
    decay_factor: float = above(0.1, 0, 1)
    warmup_epochs: int = within(0, 0)
    momentum: float = within(0.9, 0, 1)
    weight_decay: float = within(1e-4, 0)
    parameter_groups: Literal["weights", "uniform", "tsm"] = "weights"
    partial_batch_norm: bool = False
    clip_gradient: float | None = above(None, 0)
    weight_average: float = within(0.0, 0, 0.999999)
    test_fold: int | None = None
    validation_fraction: float = within(0.0, 0, 0.9)
    use_unassigned: bool = False
    group: Literal["all", "clear", "mixed"] = "all"
    group_size: int | None = within(None, 1)
    select: Literal["last", "best_validation", "best_test_fold"] = "last"
    seed: int = within(0, 0, LARGEST)
    precision: Literal["auto", "32", "bf16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = within(1, 1, 1024)
    num_threads: int = within(0, 0, 1024)
    num_workers: int = within(-1, -1, 1024)
    compile: bool = False
    cache: Literal["none", "ram", "device"] = "none"
    cache_gb: float | None = above(None, 0)

    def __post_init__(self) -> None:
        self._fill_in()
        check_settings(self)
        object.__setattr__(self, "scales", tuple(map(float, self.scales)))
        if problem := next(problems(self), None):
            raise RequestError(problem)
        if self.alpha is None and len(self.mixer_names) == 1:
            object.__setattr__(self, "alpha", MIXERS[self.mixer].alpha)

    def _fill_in(self) -> None:
        """Which network it is, where that is left to the weights, or to the paper."""
        if isinstance(self.weights, str) and (reader := named_reader(self.weights)) is not None:
            if Path(reader.name).exists():  # the run keeps that name, which would mean the other one from now on
                raise RequestError(
                    f"`weights` {self.weights} is the packaged reader {reader.name}, and a file or folder of that name "
                    f"is here, too; name that one (`weights` ./{reader.name}), or work in another folder"
                )
            object.__setattr__(self, "weights", reader.name)  # a run tells which one that was
        if None not in (self.model, self.width, self.size):  # so a run opens without what it started from
            return
        start = find_start(self.weights) if isinstance(self.weights, str) else None
        ours: tuple[str, int, int] = _PAPERS_NETWORK if start is None else (start.model, start.width, start.size)
        for name, value in zip(("model", "width", "size"), ours, strict=True):
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as YAML and JSON take them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[Any, Any]) -> "RunConfig":
        """The inverse of `to_dict`.

        Raises:
            RequestError: a name that is no setting.
        """
        known = [f.name for f in fields(cls)]
        unknown = sorted(str(name) for name in set(values) - set(known))
        if unknown:
            raise RequestError(f"unknown settings {', '.join(unknown)}; known are {', '.join(known)}")
        settings: Any = {name: tuple(each) if isinstance(each, list) else each for name, each in values.items()}
        return cls(**settings)

    def to_yaml(self) -> str:
        """A file that `--config` takes."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    @classmethod
    def from_yaml(cls, path: Path) -> "RunConfig":
        """Read what `to_yaml` wrote.

        Raises:
            RequestError: the file is missing or is no such configuration.
        """
        return cls.from_dict(read_settings_file(path))

    @property
    def num_frames(self) -> int:
        """Frames of a clip that the model sees."""
        return self.num_segments * self.frames_per_segment

    @property
    def mixer_names(self) -> tuple[str, ...]:
        """The mixers that are chosen from, by name; none if clips are not mixed."""
        return () if self.mixer == "none" else tuple(name.strip() for name in self.mixer.split(","))

    @property
    def takes_annotators(self) -> bool:
        """Whether the learner learns from who voted what."""
        return self.learner in LEARNERS and LEARNERS[self.learner].takes_annotators

    @property
    def takes_quality(self) -> bool:
        """Whether the learner weights clips by the quality of their consensus."""
        return self.learner in LEARNERS and LEARNERS[self.learner].takes_quality

    @property
    def mixes_pairs(self) -> bool:
        """Whether clips are mixed with others."""
        return any(MIXERS[name].has_partners for name in self.mixer_names)

    def alpha_of(self, mixer: str) -> float:
        """The alpha for one of the mixers: the recipe's, or its publication's."""
        return MIXERS[mixer].alpha if self.alpha is None else self.alpha

    @property
    def method_name(self) -> str:
        """What the paper calls this training: hard, soft, MIDAS or MIDAS with hard labels; or the mixer's name.

        A learner's name stands behind it.
        """
        name = "MIDAS" if self.mixer == "midas" else " or ".join(self.mixer_names)
        labels = "predicted" if self.soft_labels_of else self.labels
        if self.mixer == "none":
            name = labels if labels in ("soft", "hard") else _LABELS[labels]
        elif labels != "soft":
            name = f"{name} with {_LABELS[labels]}"
        return name if self.learner == PLAIN else f"{name}, {self.learner}"


_LABELS = {"hard": "hard labels", "votes": "single votes", "drawn_vote": "drawn votes"}
_LABELS |= {"predicted": "predicted soft labels"}
_PAPERS_NETWORK = ("tsm_resnet18", 64, 224)
