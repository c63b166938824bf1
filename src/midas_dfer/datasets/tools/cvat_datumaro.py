"""CVAT's format Datumaro: a JSON object with the labels under `categories`, and one of `items` per picture or frame.

See https://docs.cvat.ai/docs/dataset_management/formats/format-datumaro/.
"""

from pathlib import Path

from midas_dfer.datasets.files.json_files import clean_text, read_json_entries
from midas_dfer.datasets.tools.cvat_export import ADVICE, CvatExport, CvatTag
from midas_dfer.datasets.tools.exports import name_annotator, path_inside
from midas_dfer.errors import RequestError
from midas_dfer.wording import count


def read_datumaro(
    export: CvatExport, attribute: str | None, annotator_attribute: str, data: bytes | None = None
) -> None:
    """Read a file into its export."""
    categories = read_json_entries(
        export.file,
        "item",
        lambda number, item: _take(export, number - 1, item, attribute, annotator_attribute),
        "items",
        ADVICE,
        data,
    ).get("categories")
    export.labels = _label_names(export.file, categories)
    export.offered = export.labels if attribute is None else []
    for tag in export.tags:
        if isinstance(tag.label, int) and not 0 <= tag.label < len(export.labels):
            export.wrong.setdefault(
                tag.item, f"a tag has the label_id {tag.label}, but there are {count(len(export.labels), 'label')}"
            )


def _label_names(file: Path, categories: object) -> list[str]:
    label = categories.get("label") if isinstance(categories, dict) else None
    labels = label.get("labels") if isinstance(label, dict) else None
    if not isinstance(labels, list):
        raise RequestError(f"{file} has no list of labels under categories. {ADVICE}")
    names = []
    for number, each in enumerate(labels):
        found = each.get("name") if isinstance(each, dict) else None
        if not isinstance(found, str) or not found.strip():
            raise RequestError(f"{file}: label {number} under categories has no name. {ADVICE}")
        names.append(clean_text(found))
    return names


def _take(export: CvatExport, number: int, item: object, attribute: str | None, annotator_attribute: str) -> None:
    """Keep what is needed of an item."""
    known = item.get("id") if isinstance(item, dict) else None
    export.ids.append(clean_text(known) if isinstance(known, str) else "")
    export.paths.append("")
    annotations = item.get("annotations") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(known, str) or not isinstance(annotations, list):
        export.wrong[number] = "it is not an object with an id (text) and a list of annotations"
        return
    export.paths[number] = path_inside(_media_path(item) or known)
    if isinstance(item.get("video_frame"), dict):
        export.videos.add(number)
    for annotation in annotations:
        attributes = annotation.get("attributes", {}) if isinstance(annotation, dict) else None
        if not isinstance(attributes, dict):
            export.wrong[number] = "one of its annotations is not an object with attributes"
            return
        label: object
        for name, value in attributes.items():
            export.saw(name, value)
        if attribute is not None:
            label = attributes.get(attribute)
            fits = isinstance(label, str) and bool(label.strip())
        else:
            label = annotation.get("label_id")
            fits = type(label) is int
        if attribute is None and annotation.get("type") != "label":
            export.shapes += 1
        elif isinstance(label, int | str) and fits:
            label = clean_text(label) if isinstance(label, str) else label
            export.tags.append(CvatTag(number, _annotator(attributes.get(annotator_attribute)), label))
        elif attribute is None:
            export.wrong[number] = "the label_id of a tag is not a whole number"


def _media_path(item: dict[str, object]) -> str:
    for kind, key in (("image", "path"), ("media", "path"), ("video", "path"), ("video_frame", "video_path")):
        media = item.get(kind)
        where = media.get(key) if isinstance(media, dict) else None
        if isinstance(where, str) and where.strip():
            return where
    return ""


def _annotator(who: object) -> str | None:
    return name_annotator(int(who) if isinstance(who, float) and who.is_integer() else who)
