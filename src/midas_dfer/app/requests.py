"""What pages send."""

import json
from typing import Any

from starlette.requests import Request

from midas_dfer.errors import RequestError

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
