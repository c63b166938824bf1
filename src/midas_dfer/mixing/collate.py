"""Mixing where a DataLoader makes its batches: a `collate_fn`."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import default_collate

from midas_dfer.errors import RequestError
from midas_dfer.mixing.mixer import Mixer, Partners
from midas_dfer.mixing.partners import PartnerPool

KEYS = ("pixel_values", "labels", "video_id")
"""Of clip, label and id of the video in samples that are dictionaries; the first two are Hugging Face's."""


@runtime_checkable
class Samples(Protocol):
    """A data set of samples ``(clip, label, video_id)``, or dictionaries of these."""

    def __getitem__(self, row: int) -> Any: ...  # noqa: ANN401 - a tuple of whatever `default_collate` joins


class MixCollate:
    """Collates samples ``(clip, label, video_id)``, or dictionaries, into a mixed batch ``(clips, targets)``.

    ::

        loader = DataLoader(dataset, batch_size=8, shuffle=True, collate_fn=MixCollate(MIDAS(alpha=0.4)))

    For dictionaries, as in Hugging Face's Trainer, `keys` names clip, label and id. The batch then holds the mixed
    clips and the targets under their keys, and everything else collated unchanged. The id is left out, as no model
    takes it; it must reach the collator, which a Trainer prevents unless ``remove_unused_columns=False``.

    It draws from torch's default generator, which a DataLoader reseeds for each worker and epoch from its own
    `generator`: two loaders with equal generators and the same number of workers give equal batches.

    Args:
        mixer: any mixer; one that mixes inside a network can only mix the clips here.
        pool: draw partners from this pool instead of the batch; needs `dataset`.
        dataset: the data set whose row n is row n of the pool.
        collate: collates the samples; torch's `default_collate` by default.
        keys: of clip, label and video id in dictionary samples.

    Raises:
        RequestError: not a mixer, a pool without `dataset` or vice versa, or not three keys.
    """

    def __init__(
        self,
        mixer: Mixer,
        *,
        pool: PartnerPool | None = None,
        dataset: Samples | None = None,
        collate: Callable[[list[Any]], Any] = default_collate,
        keys: Sequence[str] = KEYS,
    ) -> None:
        if (pool is None) != (dataset is None):
            raise RequestError("Partners from a pool are loaded from its data set; give both pool and dataset")
        if not isinstance(mixer, Mixer):
            raise RequestError(f"The mixer is {mixer!r:.60}; expected one such as MIDAS()")
        if isinstance(keys, str) or not isinstance(keys, Sequence) or len(set(keys)) != 3:
            raise RequestError(f"The keys are {keys!r}; expected three, of clip, label and id of the video, as {KEYS}")
        self.mixer, self.pool, self.dataset, self.collate, self.keys = mixer, pool, dataset, collate, tuple(keys)

    def __call__(self, samples: Sequence[Any]) -> tuple[Float[Tensor, "B ..."], Float[Tensor, "B K"]] | dict[str, Any]:
        """Collate and mix a batch.

        Args:
            samples: of the batch: clip (a tensor), label (class probabilities, or a class index if the mixer knows
                `num_classes`) and the id of the video (text or number); or dictionaries of them.

        Returns:
            the mixed clips and their targets; a dictionary if the samples are dictionaries.

        Raises:
            RequestError: the samples have another form, or cannot be mixed (`Mixer.apply`).
        """
        (clips, labels, video_ids), rest = self._join(samples)
        plan = self.mixer.draw(video_ids, labels=labels, pool=self.pool)
        partners: Partners | None = None
        if self.dataset is not None:
            (others, other_labels, _), _ = self._join([self.dataset[row] for row in plan.partner.tolist()])
            partners = (others, other_labels)
        mixed, targets = self.mixer.apply(clips, labels, plan, partners=partners)
        return (mixed, targets) if rest is None else {**rest, self.keys[0]: mixed, self.keys[1]: targets}

    def _join(self, samples: Sequence[Any]) -> tuple[tuple[Tensor, Tensor, Any], dict[str, Any] | None]:
        """Clips, labels and ids; and of dictionaries what else they hold."""
        if not len(samples):
            raise RequestError("The batch holds no samples; expected one or more")
        joined, rest = self.collate(list(samples)), None
        if isinstance(joined, Mapping):
            self._check_keys(joined)
            rest = {key: value for key, value in joined.items() if key not in self.keys}
            joined = tuple(joined[key] for key in self.keys)
        if not (isinstance(joined, tuple | list) and len(joined) == 3):
            raise RequestError(
                f"The samples join to {type(joined).__name__}; expected samples (clip, label, video id), or "
                f"dictionaries with {', '.join(self.keys)}. The id is what keeps a video from being mixed with itself."
            )
        clips, labels, video_ids = joined
        if not (isinstance(clips, Tensor) and isinstance(labels, Tensor)):
            raise RequestError("The clips and labels of the samples must be tensors or numbers")
        if labels.is_floating_point() and labels.dtype == torch.float64 and clips.dtype != torch.float64:
            labels = labels.float()  # lists of Python numbers and NumPy's soft labels come as float64
        return (clips, labels, video_ids), rest

    def _check_keys(self, joined: Mapping[str, Any]) -> None:
        for key, what in zip(self.keys, ("clip", "label", "id of the video"), strict=True):
            if key in joined:
                continue
            close = difflib.get_close_matches(key, map(str, joined), n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            cure = "name them with keys=(clip, label, id)"
            if what == "id of the video":
                cure += "; of Hugging Face's Trainer, set remove_unused_columns=False, which else takes it away"
            raise RequestError(
                f"The samples have no {key!r} for the {what}{hint}; they have {', '.join(map(repr, joined))}: {cure}"
            )
