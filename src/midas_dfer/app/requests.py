"""What pages send."""

import json
from typing import Any

from starlette.requests import Request

from midas_dfer.app.words import best_language, languages
from midas_dfer.errors import RequestError

LANGUAGE = "midas_language"
"""The cookie of who chose a language."""
LONGEST = 64 * 1024
"""Bytes of a request that is no video."""


async def values_of(request: Request) -> dict[str, Any]:
    """The JSON object in a request, bounded.

    Raises:
        RequestError: there is none, or it is too long.
    """
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > LONGEST:
            raise RequestError("this request is too long")
    try:
        values = json.loads(content)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise RequestError("this request holds no JSON object")
    return values


def language_of(request: Request) -> str:
    """The language that somebody chose, else the first of ours that the browser asks for."""
    chosen = request.cookies.get(LANGUAGE, "")
    return chosen if chosen in languages() else best_language(request.headers.get("accept-language", ""))
