"""The trained networks -> the packaged reader: their mean, mirrored, calibrated, eight frames, half the bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from midas_dfer.clips.store.clip_store import ClipStore
from midas_dfer.clips.store.settings import ExtractSettings
from midas_dfer.errors import RequestError
from midas_dfer.evaluation.evaluate import choose_clips, predict_clips
from midas_dfer.files import write_file
from midas_dfer.models.mirrored import unmirrored
from midas_dfer.progress import NoProgress
from midas_dfer.sharing.exported import CARD_FILE
from midas_dfer.sharing.folder import save_pretrained
from midas_dfer.sharing.trained import TrainedModel, open_trained
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.scoring.temperature import fit_temperature

FRAMES = 8
"""Frames of a window of video that the reader sees: it reads each and takes the mean of the logits."""

CROP = 112
"""Side, in pixels, of the crops that it is shown on video; they are shrunk to its own size."""

LICENSE = "MIT; of SFace's trunk Apache-2.0; learned from pictures that were published for research"

TERMS = """The votes of FER+ are published under the MIT licence (Microsoft). The pictures are those of FER2013, which
were published for research; none of them is in the package. Training began from the trunk of SFace (Zhong, Deng, Hu,
Zhao, Li, Wen 2021), which learned from photographs of faces to tell people apart, as OpenCV's model zoo gives it under
the Apache License 2.0 (`APACHE-2.0.txt`); without its last block and its embedding, and all of it was changed. No
condition of our own is put on the weights (MIT, as all of midas-dfer); whether the terms of pictures bind what was
learned from them is not settled, so who wants more than research should ask a lawyer, or train on pictures of their
own.
"""


_FURTHER = """## Trained on from there

Clips and recipe above are those of the first of {trainings} trainings. The others went on from it, on targets of which
one half are a picture's own votes and the other what several networks made of it; the weights are the mean of all
{trainings}, and the scores are theirs. midas-dfer's page on its packaged reader says more.
"""


@dataclass(frozen=True)
class Calibrated(TrainedModel):
    """The mean of trainings that went on from each other, its logits divided by a temperature.

    Attributes:
        runs: the trainings; their weights are averaged (Wortsman et al. 2022, "Model soups").
        divisor: the temperature.
    """

    runs: tuple[Run, ...] = ()
    divisor: float = 1.0

    def load(self) -> nn.Module:
        """The model, its last layer divided: the logits of a clip are the mean of the layer's outputs."""
        model = super().load()
        network = unmirrored(model)
        network.load_state_dict(mean_of([run.load_model().state_dict() for run in self.runs]))
        head = network.get_submodule("fc")
        with torch.no_grad():
            cast(nn.Linear, head).weight.div_(self.divisor)
            cast(nn.Linear, head).bias.div_(self.divisor)
        return model


def mean_of(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each weight, and of each running statistic; counters are those of the last network."""
    mean = {}
    for name, last in states[-1].items():
        stacked = torch.stack([state[name] for state in states])
        mean[name] = stacked.double().mean(dim=0).to(last.dtype) if last.is_floating_point() else last
    return mean


def calibrated(runs: Sequence[Run], store: ClipStore) -> Calibrated:
    """The mean of runs, read with its mirror image, and the temperature that fits that to the validation part.

    Args:
        runs: the first learned from people's votes alone, and what the card says of clips and recipe is of it; the
            others went on from there. All have learned shares as they are.
        store: the pictures of that part.

    Raises:
        RequestError: its probabilities are not its vote shares.
    """
    run = runs[0]
    trained = open_trained(run)
    trained = replace(trained, info=replace(trained.info, mirrored=True))
    if trained.info.no_vote_shares or trained.info.reading.steps:
        raise RequestError(f"{run.path} did not learn the votes' own shares, so one temperature is not enough")
    clips = choose_clips(trained, store, "validation").clips
    mean = Calibrated(trained.path, trained.info, run=run, runs=tuple(runs))
    predictions = predict_clips(mean, store, clips, device="cpu", precision="32", batch_size=64, progress=NoProgress())
    logits = torch.from_numpy(predictions.probabilities).log()  # but for a constant, which changes nothing
    divisor = fit_temperature(logits, torch.from_numpy(predictions.votes))
    return replace(mean, divisor=divisor)


def ship(trained: Calibrated, folder: Path) -> list[Path]:
    """Write the reader's folder: faces are looked for, windows of `FRAMES` frames are read, weights are float16."""
    info = replace(trained.info, num_segments=FRAMES, extract=ExtractSettings(size=CROP))
    written = save_pretrained(replace(trained, info=info), folder, half=True, license_name=LICENSE)
    card = folder / CARD_FILE
    before, section, after = card.read_text(encoding="utf-8").partition("\n## Licence\n")
    further = _FURTHER.format(trainings=len(trained.runs))
    write_file(card, f"{before}\n{further}\n## Terms of what it learned from\n\n{TERMS}{section}{after}")
    return written
