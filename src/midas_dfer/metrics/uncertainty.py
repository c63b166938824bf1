"""Why a prediction is uncertain: people are expected to disagree, or the model does not know what they would say."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Num

from midas_dfer.errors import RequestError
from midas_dfer.labels import checked_distributions, entropy


class Uncertainty(NamedTuple):
    """The entropy of a prediction in two parts, whose sum it is.

    Attributes:
        expected_disagreement: the entropy of the votes that is expected `[N]`, in nats, 0 to log K (aleatoric). It does
            not go away when the model learns more.
        not_knowing: the mutual information of a vote and the model `[N]`, in nats, 0 to log K (epistemic).
    """

    expected_disagreement: Float64[np.ndarray, " N"]
    not_knowing: Float64[np.ndarray, " N"]


def ensemble_uncertainty(
    members: Num[np.ndarray, "M N K"] | Sequence[Num[np.ndarray, "N K"]],
    expected: Float64[np.ndarray, "M N"] | None = None,
) -> Uncertainty:
    """Split the entropy of the mean of several predictions: `H(mean p) = mean H(p) + not_knowing`.

    Depeweg, Hernandez-Lobato, Doshi-Velez and Udluft 2018, "Decomposition of uncertainty in Bayesian deep learning for
    efficient and risk-sensitive learning", equation 9; the members may be networks (Lakshminarayanan et al. 2017) or
    passes with dropout (Gal and Ghahramani 2016).

    Args:
        members: what each of M members predicts of each clip `[M, N, K]`; each row a distribution.
        expected: the entropy that each member itself expects `[M, N]`, as Dirichlet networks do; None is that of its
            prediction.

    Returns:
        Both parts.

    Raises:
        RequestError: there is no member, or a row is not a distribution.
    """
    if not len(members):
        raise RequestError("There are no predictions to compare. Give those of one member or more.")
    checked = np.stack([checked_distributions(each, "predictions") for each in members])
    if expected is None:
        expected = np.stack([entropy(each) for each in checked])
    disagreement = np.asarray(expected).mean(axis=0)
    return Uncertainty(disagreement, np.maximum(entropy(checked.mean(axis=0)) - disagreement, 0.0))


def dirichlet_uncertainty(parameters: Num[np.ndarray, "N K"]) -> Uncertainty:
    """Split the entropy of the mean of Dirichlet distributions over what share of people votes for each class.

    With S the sum of a clip's parameters a, the expected entropy is
    `digamma(S + 1) - sum(a / S * digamma(a + 1))`: Malinin and Gales 2018, "Predictive uncertainty estimation via prior
    networks", appendix B.

    Args:
        parameters: `[N, K]`, over 0.

    Returns:
        Both parts.

    Raises:
        RequestError: a parameter is not a finite number over 0.
    """
    from scipy.special import digamma

    a = np.asarray(parameters, dtype=np.float64)
    if a.ndim != 2 or not (np.isfinite(a).all() and (a > 0).all()):
        raise RequestError(f"Parameters of shape {list(a.shape)}; expected finite numbers over 0, [N, K].")
    total = a.sum(axis=1, keepdims=True)
    expected = digamma(total[:, 0] + 1) - (a / total * digamma(a + 1)).sum(axis=1)
    return ensemble_uncertainty((a / total)[None], expected[None])
