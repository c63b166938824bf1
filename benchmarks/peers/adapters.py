"""The other libraries' mixers, each brought to the one form of `Candidate`.

Label smoothing is off everywhere. Where a library gives two labels and a ratio instead of a target, the adapter
joins them as the library's own loss does.
"""

import importlib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.peers.candidate import NUM_CLASSES, Candidate, Mix
from benchmarks.peers.loading import define_torchvision_operators, describe_file, import_bare, version_of

NO_INIT = "its module is run alone, as its package's __init__ does not import here"


def parameters_of(*callables: Callable[..., object]) -> tuple[str, ...]:
    """Names of all parameters of some callables, those of the clips and labels included."""
    names = [name for function in callables for name in inspect.signature(function).parameters]
    return tuple(dict.fromkeys(name for name in names if name not in {"self", "args", "kwargs"}))


def one_hot(labels: Tensor) -> Tensor:
    """Class numbers as one-hot rows; rows of probabilities as they are."""
    return labels if labels.is_floating_point() else F.one_hot(labels.long(), NUM_CLASSES).float()


def join(first: Tensor, second: Tensor, ratio: float | Tensor) -> Tensor:
    """What a loss that is weighted by the ratio amounts to: the two labels mixed."""
    return ratio * one_hot(first) + (1 - ratio) * one_hot(second)


def torchvision_mixers() -> list[Candidate]:
    """MixUp and CutMix of torchvision.transforms.v2."""
    v2 = importlib.import_module("torchvision.transforms.v2")
    tv_tensors = importlib.import_module("torchvision.tv_tensors")
    file = describe_file(importlib.import_module("torchvision.transforms.v2._augment"))

    def candidate(kind: type) -> Candidate:
        def replay(clips: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            mixer = kind(alpha=0.4, num_classes=NUM_CLASSES)
            params = {"labels": labels, "batch_size": len(labels), **mixer.make_params([clips])}
            return mixer.transform(clips, params), mixer.transform(clips, params)

        return Candidate(
            library="torchvision",
            mixer=kind.__name__,
            version=version_of("torchvision"),
            files=(file,),
            make=lambda alpha: kind(alpha=alpha, num_classes=NUM_CLASSES),
            parameters=parameters_of(kind.__init__, kind.forward),
            replay=replay,
            as_video=tv_tensors.Video,
            note="replay: through its methods make_params and transform",
        )

    return [candidate(v2.MixUp), candidate(v2.CutMix)]


def timm_mixers() -> list[Candidate]:
    """Mixup of timm.data in two of its modes, as mixup and as CutMix, and its collate function."""
    module = importlib.import_module("timm.data.mixup")
    note = "multi_label=True where the labels are soft"

    def settings(alpha: float, box: bool, mode: str, labels: Tensor) -> dict[str, object]:
        name, other = ("cutmix_alpha", "mixup_alpha") if box else ("mixup_alpha", "cutmix_alpha")
        soft = labels.is_floating_point()
        fixed = {"label_smoothing": 0.0, "num_classes": NUM_CLASSES, "multi_label": soft, "mode": mode}
        return {name: alpha, other: 0.0, **fixed}

    def direct(box: bool, mode: str) -> Callable[[float], Mix]:
        return lambda alpha: lambda clips, labels: module.Mixup(**settings(alpha, box, mode, labels))(clips, labels)

    def collate(alpha: float) -> Mix:
        def mix(clips: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            mixer = module.FastCollateMixup(**settings(alpha, False, "elem", labels))
            return mixer(list(zip(clips, labels, strict=True)))

        return mix

    makers = {
        "Mixup batch": (direct(False, "batch"), module.Mixup),
        "Mixup elem": (direct(False, "elem"), module.Mixup),
        "CutMix batch": (direct(True, "batch"), module.Mixup),
        "CutMix elem": (direct(True, "elem"), module.Mixup),
        "FastCollateMixup": (collate, module.FastCollateMixup),
    }
    return [
        Candidate(
            library="timm",
            mixer=name,
            version=version_of("timm"),
            files=(describe_file(module),),
            make=make,
            parameters=parameters_of(kind.__init__, kind.__call__),
            dtype=torch.uint8 if kind is module.FastCollateMixup else torch.float32,
            note=note,
        )
        for name, (make, kind) in makers.items()
    ]


def mmaction_mixers() -> list[Candidate]:
    """MixupBlending and CutmixBlending of mmaction2."""
    module = import_bare("mmaction.models.utils.blending_utils", {"mmaction.utils": {"SampleList": list}})
    sample = import_bare("mmaction.structures.action_data_sample").ActionDataSample

    def maker(kind: type) -> Callable[[float], Mix]:
        def make(alpha: float) -> Mix:
            mixer = kind(num_classes=NUM_CLASSES, alpha=alpha)

            def mix(clips: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
                samples = [sample().set_gt_label(label if label.ndim else label.view(1)) for label in labels]
                mixed, samples = mixer(clips, samples)
                return mixed, torch.stack([one.gt_label for one in samples])

            return mix

        return make

    return [
        Candidate(
            library="mmaction2",
            mixer=kind.__name__,
            version=version_of("mmaction2"),
            files=(describe_file(module),),
            make=maker(kind),
            parameters=parameters_of(kind.__init__, kind.do_blending),
            note=NO_INIT,
        )
        for kind in (module.MixupBlending, module.CutmixBlending)
    ]


def slowfast_mixers(root: Path | None) -> list[Candidate]:
    """MixUp of PySlowFast, as mixup and as CutMix, from a checkout."""
    if root is None:
        raise ModuleNotFoundError("no checkout of PySlowFast was named; the package on PyPI has no mixup")
    module = import_bare("slowfast.datasets.mixup", root=root)

    def maker(box: bool) -> Callable[[float], Mix]:
        def make(alpha: float) -> Mix:
            alphas = {"mixup_alpha": 0.0, "cutmix_alpha": alpha} if box else {"mixup_alpha": alpha, "cutmix_alpha": 0.0}
            return module.MixUp(**alphas, label_smoothing=0.0, num_classes=NUM_CLASSES)

        return make

    return [
        Candidate(
            library="PySlowFast",
            mixer=name,
            version="main",
            files=(describe_file(module),),
            make=maker(name == "CutMix"),
            parameters=parameters_of(module.MixUp.__init__, module.MixUp.__call__),
            note=NO_INIT,
        )
        for name in ("MixUp", "CutMix")
    ]


def pytorchvideo_mixers() -> list[Candidate]:
    """MixUp and CutMix of PyTorchVideo."""
    module = import_bare("pytorchvideo.transforms.mix")
    functional = importlib.import_module("pytorchvideo.transforms.functional")

    def maker(kind: type) -> Callable[[float], Mix]:
        return lambda alpha: kind(alpha=alpha, num_classes=NUM_CLASSES)

    return [
        Candidate(
            library="PyTorchVideo",
            mixer=kind.__name__,
            version=version_of("pytorchvideo"),
            files=(describe_file(module), describe_file(functional)),
            make=maker(kind),
            parameters=parameters_of(kind.__init__, kind.forward),
            note=NO_INIT,
        )
        for kind in (module.MixUp, module.CutMix)
    ]


def kornia_mixers() -> list[Candidate]:
    """RandomMixUpV2 and RandomCutMixV2 of kornia."""
    augmentation = importlib.import_module("kornia.augmentation")
    keys = ["input", "class"]

    def mixup(alpha: float) -> torch.nn.Module:
        # It draws uniformly and knows no alpha; near one half, where a check asks for that.
        return augmentation.RandomMixUpV2(lambda_val=(0.4, 0.6) if alpha >= 10 else None, data_keys=keys)

    def cutmix(alpha: float) -> torch.nn.Module:
        return augmentation.RandomCutMixV2(beta=alpha, data_keys=keys, use_correct_lambda=True)

    def candidate(kind: Callable[[float], torch.nn.Module], file: ModuleType) -> Candidate:
        def make(alpha: float) -> Mix:
            mixer = kind(alpha)

            def mix(clips: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
                mixed, found = mixer(clips, labels)
                if labels.is_floating_point():
                    return mixed, found
                first, second, ratio = found.reshape(-1, 3).unbind(dim=1)
                own = ratio if kind is cutmix else 1 - ratio
                return mixed, join(first.long(), second.long(), own.unsqueeze(1))

            return mix

        def replay(clips: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            mixer = kind(0.4)
            params = mixer.forward_parameters(clips.shape)
            return mixer(clips, labels, params=params)[0], mixer(clips, labels, params=params)[0]

        name = type(kind(0.4))
        return Candidate(
            library="kornia",
            mixer=name.__name__,
            version=version_of("kornia"),
            files=(describe_file(file),),
            make=make,
            parameters=parameters_of(name.__init__, name.forward),
            replay=replay,
            note="gives two class numbers and a ratio, joined by the adapter; CutMix with use_correct_lambda=True",
        )

    folder = "kornia.augmentation._2d.mix"
    return [
        candidate(mixup, importlib.import_module(f"{folder}.mixup")),
        candidate(cutmix, importlib.import_module(f"{folder}.cutmix")),
    ]


def openmixup_mixers() -> list[Candidate]:
    """The functions mixup and cutmix of OpenMixup."""
    gather = import_bare("openmixup.models.utils.gather_layer")
    shuffle = {"openmixup.models.utils": {"batch_shuffle_ddp": gather.batch_shuffle_ddp}}

    def candidate(name: str) -> Candidate:
        module = import_bare(f"openmixup.models.augments.{name}", shuffle)
        function = getattr(module, name)

        def mix(clips: Tensor, labels: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
            if clips.device.type != "cpu":
                mixed, found = function(clips, labels, alpha=alpha)
                return mixed, join(*found)
            moved = Tensor.cuda
            Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
            try:
                mixed, found = function(clips, labels, alpha=alpha)
            finally:
                Tensor.cuda = moved  # type: ignore[method-assign]
            return mixed, join(*found)

        return Candidate(
            library="OpenMixup",
            mixer=name,
            version=version_of("openmixup"),
            files=(describe_file(module),),
            make=lambda alpha: lambda clips, labels: mix(clips, labels, alpha),
            parameters=parameters_of(function),
            note=f"{NO_INIT}; its calls of .cuda() do nothing, save in 'no read-back'; gives two labels and a "
            "ratio, joined by the adapter",
        )

    return [candidate("mixup"), candidate("cutmix")]


def mixup_mixers() -> list[Candidate]:
    """Four mixers of the PyPI package mixup."""
    module = importlib.import_module("mixup.methods")

    def maker(kind: type) -> Callable[[float], Mix]:
        return lambda alpha: kind(alpha=alpha)

    return [
        Candidate(
            library="mixup",
            mixer=kind.__name__,
            version=version_of("mixup"),
            files=(describe_file(module),),
            make=maker(kind),
            parameters=parameters_of(kind.__init__, kind.forward),
        )
        for kind in (module.VanillaMixUp, module.CutMix, module.SaliencyMix, module.PuzzleMix)
    ]


def composer_mixers() -> list[Candidate]:
    """mixup_batch and cutmix_batch of Composer."""
    types = SimpleNamespace(Algorithm=object, Event=object, State=object)
    provided = {
        "composer.core": vars(types),
        "composer.loggers": {"Logger": object},
        "composer.loss.utils": {"ensure_targets_one_hot": one_hot},
    }

    def candidate(name: str, plan: Sequence[object]) -> Candidate:
        module = import_bare(f"composer.algorithms.{name}.{name}", provided)
        function = getattr(module, f"{name}_batch")

        def make(alpha: float) -> Mix:
            def mix(clips: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
                mixed, other, ratio, *_ = function(clips, labels, alpha=alpha)
                own = 1 - ratio if name == "mixup" else ratio
                return mixed, join(labels, other, own)

            return mix

        def replay(clips: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            fixed = {"indices": torch.arange(len(labels)).roll(3), **dict([plan])}
            return function(clips, labels, **fixed)[0], function(clips, labels, **fixed)[0]

        return Candidate(
            library="Composer",
            mixer=function.__name__,
            version=version_of("mosaicml"),
            files=(describe_file(module),),
            make=make,
            parameters=parameters_of(function),
            replay=replay,
            note=f"{NO_INIT}; gives the partners' labels and a ratio, joined by the adapter as the algorithm does",
        )

    return [candidate("mixup", ("mixing", 0.3)), candidate("cutmix", ("bbox", (2, 3, 9, 12)))]


def libraries(slowfast: Path | None) -> dict[str, Callable[[], list[Candidate]]]:
    """A function for each library, which imports it and gives its mixers."""
    define_torchvision_operators()
    return {
        "torchvision": torchvision_mixers,
        "timm": timm_mixers,
        "mmaction2": mmaction_mixers,
        "PySlowFast": lambda: slowfast_mixers(slowfast),
        "PyTorchVideo": pytorchvideo_mixers,
        "kornia": kornia_mixers,
        "OpenMixup": openmixup_mixers,
        "mixup": mixup_mixers,
        "Composer": composer_mixers,
    }
