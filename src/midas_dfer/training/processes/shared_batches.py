"""The batches that the processes of one training share: each has some rows, and all know the whole."""

from collections.abc import Sequence

from midas_dfer.clips.batches.dataset import ClipDataset
from midas_dfer.clips.batches.loader import BatchSampler
from midas_dfer.mixing import MixPlan
from midas_dfer.training.mixers import Mixing


class SharedBatches:
    """What a process must know of the training batches, of whose rows it has some."""

    def __init__(self, order: BatchSampler, dataset: ClipDataset) -> None:
        self.order, self.dataset = order, dataset
        self._epoch: tuple[int, list[list[int]]] = (-1, [])

    def weight(self, epoch: int, number: int) -> float:
        """What the mean loss of this process's rows counts; 0 where its only row was lent."""
        return self.order.share.weight(len(self._places(epoch, number)))

    def plan(self, mixing: Mixing, epoch: int, number: int) -> MixPlan:
        """The rows of the plan of a whole batch that are this process's."""
        places = self._places(epoch, number)
        plan = plan_of(mixing, self.dataset, epoch, number, places)
        return plan.of_rows(self.order.share.some_rows(len(places)))

    def purpose(self, name: str) -> str:
        """Of draws that no plan holds, such as dropout: another for each process."""
        return f"{name} of process {self.order.share.rank}"

    def _places(self, epoch: int, number: int) -> list[int]:
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self.order.whole_batches(epoch))
        return self._epoch[1][number]


def plan_of(mixing: Mixing, dataset: ClipDataset, epoch: int, number: int, places: Sequence[int]) -> MixPlan:
    """The plan of a whole batch, by the places of its clips."""
    video_ids = [dataset.video_ids[place] for place in places]
    return mixing.plan(epoch, number, video_ids, dataset.targets(epoch, places))
