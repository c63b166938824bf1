"""A camera's frames, read as they come. Frames are held as long as a reading needs them, and stored nowhere.

The page sends a frame when the one before has been answered, so the server never falls behind: with each frame comes
its time, with each answer the faces in it and the readings whose windows are full now.
"""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from midas_dfer.app.faults import fault
from midas_dfer.app.readings import looks_of
from midas_dfer.errors import MidasError, RequestError

if TYPE_CHECKING:
    from midas_dfer.predict.stream import Stream

WINDOW, STRIDE, WAIT = 1.0, 0.25, 0.04
"""Seconds of a reading, from one to the next, and of later frames: shorter than of videos, for who is looking on."""
_MOST_BYTES, _MOST_SIDE = 2_000_000, 1920
_LONGEST_PAUSE = 2.0
"""Seconds without a frame, as where a page was hidden, after which a stream begins anew."""


async def live_socket(socket: WebSocket) -> None:
    """Read the frames of one page."""
    await socket.accept()
    loop, thread = asyncio.get_running_loop(), ThreadPoolExecutor(1, thread_name_prefix="midas-live")
    try:
        live = await loop.run_in_executor(thread, LiveReading, socket.app.state.readings.another_predictor)
        await socket.send_text(json.dumps(live.greeting()))
        while True:
            message = await socket.receive_bytes()
            answer = await loop.run_in_executor(thread, live.take, message)
            await socket.send_text(json.dumps(answer))
    except WebSocketDisconnect:
        pass
    except Exception as error:
        await socket.send_text(json.dumps({"error": str(error) if isinstance(error, MidasError) else fault(error)}))
        await socket.close(1011)
        if not isinstance(error, MidasError):
            raise
    finally:
        thread.shutdown(wait=False, cancel_futures=True)


class LiveReading:
    """The stream of one camera; `predictor` gives the model."""

    def __init__(self, predictor: Any) -> None:  # noqa: ANN401 - a function without arguments
        self._predictor = predictor()
        self._stream: Stream | None = None
        self._last = 0.0
        self._before = self._most = 0  # faces of the streams before, and of all

    def greeting(self) -> dict[str, Any]:
        """What a page must know before the first answer."""
        names = self._predictor.class_names
        reading = "probability" if self._predictor.info.no_vote_shares else "vote_share"
        return {**looks_of(names), "window": WINDOW, "stride": STRIDE, "reading": reading}

    def take(self, message: bytes) -> dict[str, Any]:
        """Read a frame: eight bytes of its time (float64, big endian, seconds), then a JPEG."""
        if not 8 < len(message) <= _MOST_BYTES:
            raise RequestError(f"a frame of {len(message):,} bytes came; expected at most {_MOST_BYTES:,}")
        time = float(np.frombuffer(message[:8], dtype=">f8")[0])
        picture = cv2.imdecode(np.frombuffer(message[8:], dtype=np.uint8), cv2.IMREAD_COLOR)
        if picture is None or max(picture.shape) > _MOST_SIDE or not np.isfinite(time):
            raise RequestError("what came is no frame of a camera")
        if self._stream is None or not 0 < time - self._last < _LONGEST_PAUSE:
            self._stream = self._predictor.stream(window_seconds=WINDOW, stride_seconds=STRIDE, wait=WAIT)
            self._before = self._most
        self._last = time
        readings, in_view = self._stream.push(picture[:, :, ::-1], time), self._stream.in_view
        self._most = max([self._most, *(self._before + face.track for face in in_view)])
        return {
            "time": time,
            "width": picture.shape[1],
            "height": picture.shape[0],
            "faces": [{"track": self._before + face.track, "box": face.box} for face in in_view],
            "readings": [
                {
                    "track": self._before + r.track,
                    "start": r.start,
                    "end": r.end,
                    "shares": [round(r.shares[name], 4) for name in r.class_names],
                    "silent": r.silent,
                }
                for r in readings
            ],
        }
