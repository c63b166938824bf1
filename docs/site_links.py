"""Pages of the site name files of the source tree, which the site does not have, instead of linking to them."""

import re

_OUTSIDE = re.compile(r"\[(?P<text>[^\]]+)\]\(\.\./(?P<path>[^)#]+)[^)]*\)")


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put the path behind the words of a link that leads out of docs/."""
    return _OUTSIDE.sub(
        lambda m: m["text"] if m["path"] in m["text"] else f"{m['text']} (`{m['path']}`)",
        markdown,
    )
