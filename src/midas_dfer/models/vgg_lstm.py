"""Two streams of VGG-13 with an LSTM each: table 4's "Two VGG13-LSTM", a baseline of FERV39k."""

from collections.abc import Mapping
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from midas_dfer.errors import RequestError
from midas_dfer.models.clip_model import PUBLISHED_WIDTH, ClipModel, check_options
from midas_dfer.models.recurrent import LSTM
from midas_dfer.models.vgg import VGG13

_SMALLEST = 32
_JOINED = (1, 2, 3)  # stages, counted from 0, after which mixers may mix
_TRUNK = "features."


class TwoStreamVGGLSTM(ClipModel):
    """What is in the frames, and what changes between them, each through a VGG-13 and an LSTM; the logits averaged.

    Published (Wang et al., FERV39k, CVPR 2022, and its list of models) are the name, which says two streams of
    VGG-13 frame features with an LSTM each, the scores, and 144 million parameters. Not published are what the
    second stream sees and any size. Ours are: the second stream sees the difference of each frame to the one
    before it, with zeros first, as in Temporal Segment Networks (Wang et al. 2016); batch-norm in the trunks;
    the average over the picture in the place of VGG's fully connected layers (so there are 23 million
    parameters, and pictures of any size); LSTMs of one layer with as long a state as a frame's features (512), of
    which the last is classified; late fusion as the mean of the streams' logits.

    Mixers may mix where the maps of both streams are side by side; a file of torchvision's ``vgg13_bn`` goes into each
    stream.
    """

    mix_points = ("input", *(f"joined.{place}" for place in range(len(_JOINED))))
    map_points = tuple(f"streams.{stream}.{VGG13.last_of(VGG13.num_stages - 1)}" for stream in range(2))
    trunk = "streams"

    def __init__(
        self,
        *,
        num_classes: int,
        dropout: float = 0.5,
        width: int = PUBLISHED_WIDTH,
        generator: torch.Generator | None = None,
    ) -> None:
        check_options(num_classes, dropout, width)
        super().__init__()
        self.streams = nn.ModuleList(VGG13(width=width, generator=generator) for _ in range(2))
        length = 8 * width
        self.lstms = nn.ModuleList(LSTM(length, length, generator=generator) for _ in range(2))
        self.joined = nn.ModuleList(nn.Identity() for _ in _JOINED)
        self.dropout = nn.Dropout(dropout)
        classifiers = [nn.Linear(length, num_classes) for _ in range(2)]
        self.fc = nn.ModuleList(classifiers)
        for classifier in classifiers:
            nn.init.normal_(classifier.weight, std=0.001, generator=generator)
            nn.init.zeros_(classifier.bias)

    def logits(self, clips: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B K"]:
        """Compute the logits of clips of any length, of pictures from 32 pixels on."""
        if min(clips.shape[-2:]) < _SMALLEST:
            height, width = clips.shape[-2:]
            raise RequestError(
                f"The pictures are {height}x{width} pixels; a VGG-13 halves them five times and takes {_SMALLEST}x"
                f"{_SMALLEST} or more"
            )
        changes = clips - torch.cat([clips[:, :1], clips[:, :-1]], dim=1)
        maps = [clips.flatten(0, 1), changes.flatten(0, 1)]
        streams = cast("list[VGG13]", list(self.streams))
        for number in range(VGG13.num_stages):
            maps = [stream.stage(number, each) for stream, each in zip(streams, maps, strict=True)]
            if number in _JOINED:
                both: Tensor = self.joined[_JOINED.index(number)](torch.cat(maps, dim=1))
                maps = list(both.chunk(2, dim=1))
        of_streams = []
        for stream, lstm, classifier, each in zip(streams, self.lstms, self.fc, maps, strict=True):
            features = stream.pool(each)
            state = lstm(features.view(-1, clips.shape[1], features.shape[1]))
            of_streams.append(classifier(self.dropout(state)))
        return torch.stack(of_streams).mean(dim=0)

    def own_names(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give a VGG's weights the names that they have in each of the two streams; a file of this model stays."""
        own: dict[str, Tensor] = {}
        for name, value in weights.items():
            if name.startswith(_TRUNK):
                own |= {f"{self.trunk}.{stream}.{name}": value for stream in range(2)}
            else:
                own[name] = value
        return own
