"""What a model starts from: weights of a trained model, of a file, or inside an installed package."""

from collections.abc import Sequence
from pathlib import Path

from midas_dfer.emotions import match_classes
from midas_dfer.errors import RequestError
from midas_dfer.models.clip_model import ClipModel
from midas_dfer.models.packaged import HasPackagedWeights
from midas_dfer.models.weights import load_trunk, read_weights
from midas_dfer.readers.start import PACKAGED, Start, find_start


def load_pretrained(model: ClipModel, name: str, weights: Path | str, class_names: Sequence[str] = ()) -> str:
    """Give a model's trunk pretrained weights, and of a trained model those of the classes that both have.

    Args:
        model: changed in place, or not at all on an error.
        name: its architecture.
        weights: "packaged", those inside an installed package, which tsm_sface, still_sface and tsm_efficientnet_lite0
            have; the name of a packaged reader ("reader" for the default one) or a folder that `midas export` wrote;
            or a file (`midas_dfer.models.weights.load_trunk`).
        class_names: of the model's outputs, if they are known: a trained model's classes are found in them by name.

    Returns:
        what was taken, in words.

    Raises:
        RequestError: there are no such weights, or they do not fit the model.
    """
    if str(weights) == PACKAGED:
        if not isinstance(model, HasPackagedWeights):
            raise RequestError(f"No package holds weights for {name}; name a file, or none for random weights")
        model.load_packaged()
        return f"those that are packaged with {name}"
    start = find_start(weights)
    if start is None:
        return str(load_trunk(model, weights))
    try:
        return take_start(model, start, class_names)
    except RequestError as error:
        if "this model" not in str(error):  # a damaged file
            raise
        raise RequestError(
            f"--weights {weights} is {start.described}, and does not fit the --model or --width that was asked for; "
            f"leave both out, or ask for --model {start.model} --width {start.width}"
        ) from error


def take_start(model: ClipModel, start: Start, class_names: Sequence[str]) -> str:
    """Give a model the trunk of a trained one, and of its classifier the classes that both have."""
    load_trunk(model, start.file, heads=False)
    taken = f"the trunk of {start.described}"
    common = _take_classes(model, start, class_names) if class_names else ()
    new = [each for each in class_names if each not in common]
    if not common:
        return f"{taken}; the classifier starts at random"
    return f"{taken}, with its classes {', '.join(common)}" + (f"; new are {', '.join(new)}" if new else "")


def _take_classes(model: ClipModel, start: Start, class_names: Sequence[str]) -> tuple[str, ...]:
    """Copy the classifier's rows of the classes that a trained model has, too; gives their names."""
    match = match_classes(start.class_names, class_names)
    file, own = read_weights(start.file), model.state_dict()
    taken = False
    for key in own.keys() & file.keys():
        rows, theirs = own[key], file[key]
        heads = rows.unflatten(0, (max(1, model.annotators), -1)) if rows.ndim else rows  # shares memory, as below
        sizes = (heads.shape[1:2], theirs.shape[:1])
        is_of_classes = sizes == ((len(class_names),), (len(start.class_names),))
        if is_of_classes and rows.shape[1:] == theirs.shape[1:] and key.startswith(tuple(f"{h}." for h in model.heads)):
            for number, place in enumerate(match.places):
                if place is not None:
                    heads[:, number] = theirs[place]  # the state shares its memory with the model
            taken = True
    return match.common if taken else ()
