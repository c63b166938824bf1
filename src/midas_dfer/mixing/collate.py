"""Mixing where a DataLoader makes its batches: a `collate_fn`."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import default_collate

from midas_dfer.errors import RequestError
from midas_dfer.mixing.mixer import Mixer, Partners
from midas_dfer.mixing.partners import PartnerPool


@runtime_checkable
class Samples(Protocol):
    """A data set of samples ``(clip, label, video_id)``."""

    def __getitem__(self, row: int) -> Any: ...  # noqa: ANN401 - a tuple of whatever `default_collate` joins


class MixCollate:
    """Joins samples ``(clip, label, video_id)`` to a mixed batch ``(clips, targets)``.

    ::

        loader = DataLoader(dataset, batch_size=8, shuffle=True, collate_fn=MixCollate(MIDAS(alpha=0.4)))

    It draws from torch's default generator, which a DataLoader seeds anew for each worker and epoch, from its
    own `generator`: two loaders with equal generators and equally many workers give equal batches.

    Args:
        mixer: any but those that mix inside a network, which can only mix the clips here.
        pool: draw partners from this pool instead of the batch; needs `dataset`.
        dataset: whose row n is row n of the pool.
        collate: joins the samples; torch's `default_collate` if not given.

    Raises:
        RequestError: a pool without the data set that it stands for, or the other way round.
    """

    def __init__(
        self,
        mixer: Mixer,
        *,
        pool: PartnerPool | None = None,
        dataset: Samples | None = None,
        collate: Callable[[list[Any]], Any] = default_collate,
    ) -> None:
        if (pool is None) != (dataset is None):
            raise RequestError("Partners from a pool are loaded from its data set; give both pool and dataset.")
        self.mixer, self.pool, self.dataset, self.collate = mixer, pool, dataset, collate

    def __call__(self, samples: Sequence[Any]) -> tuple[Float[Tensor, "B ..."], Float[Tensor, "B K"]]:
        """Join and mix a batch.

        Args:
            samples: of the batch: clip (a tensor), label (class probabilities, or a class number where the
                mixer knows `num_classes`) and the id of the video (text or number).

        Returns:
            the mixed clips and their targets.

        Raises:
            RequestError: the samples are of another form, or cannot be mixed (`Mixer.apply`).
        """
        clips, labels, video_ids = self._join(samples)
        plan = self.mixer.draw(video_ids, labels=labels, pool=self.pool)
        partners: Partners | None = None
        if self.dataset is not None:
            others, other_labels, _ = self._join([self.dataset[row] for row in plan.partner.tolist()])
            partners = (others, other_labels)
        return self.mixer.apply(clips, labels, plan, partners=partners)

    def _join(self, samples: Sequence[Any]) -> tuple[Tensor, Tensor, Any]:
        joined = self.collate(list(samples))
        if not (isinstance(joined, tuple | list) and len(joined) == 3):
            raise RequestError(
                f"The samples join to {type(joined).__name__}; expected samples (clip, label, video id). The id is "
                "what keeps a video from being mixed with itself."
            )
        clips, labels, video_ids = joined
        if not (isinstance(clips, Tensor) and isinstance(labels, Tensor)):
            raise RequestError("The clips and labels of the samples must be tensors or numbers.")
        if labels.is_floating_point() and labels.dtype == torch.float64 and clips.dtype != torch.float64:
            labels = labels.float()  # lists of Python numbers and NumPy's soft labels come as float64
        return clips, labels, video_ids
