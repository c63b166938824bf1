"""One temperature for all logits, so that probabilities are neither too sure nor too unsure (Guo et al. 2017).

RUN/calibration.json holds it, and what it was fitted on; `ModelInfo` takes it from there.
"""

from dataclasses import asdict, dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from midas_dfer.errors import RequestError
from midas_dfer.files import read_json, write_json
from midas_dfer.training.run_folder.runs import Run
from midas_dfer.training.run_folder.typed_json import read_fields
from midas_dfer.wording import count

CALIBRATION_FILE = "calibration.json"

_STEPS = 100
LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.05, 20.0


@dataclass(frozen=True)
class TemperatureScaling:
    """What logits are divided by, and how that was found.

    Attributes:
        temperature: over 1 where the network was too sure, under 1 where it was not sure enough.
        num_clips: how many validation clips it was fitted on.
        fitted_to: votes (soft cross-entropy) or labels (negative log-likelihood).
        before, after: that score on these clips, in nats, with temperature 1 and with this one.
    """

    temperature: float
    num_clips: int
    fitted_to: str
    before: float
    after: float

    def __post_init__(self) -> None:
        if not LEAST_TEMPERATURE <= self.temperature <= MOST_TEMPERATURE:
            raise RequestError(
                f"the temperature is {self.temperature}; expected {LEAST_TEMPERATURE:g} to {MOST_TEMPERATURE:g}"
            )
        if self.fitted_to not in ("votes", "labels"):
            raise RequestError(f"fitted_to is {self.fitted_to!r}; expected votes or labels")

    @property
    def words(self) -> str:
        """What stands wherever probabilities are shown."""
        return f"scaled by T = {self.temperature:.3g}, fitted on {count(self.num_clips, 'validation clip')}"

    @classmethod
    def read(cls, run: Run) -> "TemperatureScaling | None":
        """That of a run; None if it was not calibrated."""
        path = run.path / CALIBRATION_FILE
        if not path.is_file():
            return None
        cure = "remove it; midas evaluate --calibrate makes another"
        values: Any = dict(read_json(path, cure))
        if values.pop("weights", None) != run.provenance.weights_digest:
            raise RequestError(f"{path} was fitted for other weights than the run has now; {cure}")
        try:
            return read_fields(cls, values, CALIBRATION_FILE, strict=True)
        except ValueError as error:
            raise RequestError(f"{path} is damaged ({error}); {cure}") from error

    def write(self, run: Run) -> None:
        """Keep it in the folder of its run, bound to the weights that it was fitted for."""
        write_json(run.path / CALIBRATION_FILE, {**asdict(self), "weights": run.provenance.weights_digest})


def cross_entropy(logits: Float[Tensor, "N K"], targets: Float[Tensor, "N K"], temperature: float = 1.0) -> float:
    """The mean cross-entropy of softmax(logits / temperature) from distributions, in nats."""
    return float(-(targets.double() * (logits.double() / temperature).log_softmax(dim=1)).sum(dim=1).mean())


def fit_temperature(logits: Float[Tensor, "N K"], targets: Float[Tensor, "N K"]) -> float:
    """The temperature T at which softmax(logits / T) has the lowest cross-entropy from distributions.

    The cross-entropy is convex in 1 / T; Newton's method finds where its slope, the mean over clips of
    sum_k (p_k - y_k) z_k, is 0. The curvature is the mean variance of the logits under p.

    Args:
        logits: z, of clips that were not trained on.
        targets: y, the distributions; rows sum to 1.

    Returns:
        T, from 0.05 to 20; one of these where the lowest lies beyond it.
    """
    z, y = logits.double(), targets.double()
    inverse = 1.0
    for _ in range(_STEPS):
        p = (z * inverse).softmax(dim=1)
        mean = (p * z).sum(dim=1)
        slope = (mean - (y * z).sum(dim=1)).mean()
        curvature = ((p * z.square()).sum(dim=1) - mean.square()).mean()
        step = float(slope / curvature.clamp_min(1e-12))
        inverse = min(max(inverse - step, 1 / MOST_TEMPERATURE), 1 / LEAST_TEMPERATURE)
        if abs(step) < 1e-10 * inverse:
            break
    return 1.0 / inverse
