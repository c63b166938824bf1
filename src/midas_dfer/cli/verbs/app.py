"""midas app: read videos and a camera in a browser, on this machine."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from midas_dfer.cli.parsing import TRAINED, Parser, add_computing_flags, open_named
from midas_dfer.errors import RequestError
from midas_dfer.readers import DEFAULT_READER

if TYPE_CHECKING:
    from midas_dfer.predict.predictor import Predictor


def parser() -> Parser:
    flags = Parser(description="Read videos and a camera in a browser; everything stays on this machine.")
    flags.add_argument("--run", type=Path | None, help=f"model to use: {TRAINED} (default: {DEFAULT_READER.name})")
    flags.add_argument("--folder", type=Path | None, help="also offer the videos in this folder")
    flags.add_argument("--port", type=int, default=8765, help="0 takes a free one (default: 8765)")
    flags.add_argument("--no_browser", action="store_true", help="print the address, and open no browser")
    add_computing_flags(flags)
    return flags


def run(request: Namespace) -> None:
    from midas_dfer.sharing.trained import packaged_reader

    if not 0 <= request.port <= 65535:
        raise RequestError(f"--port {request.port} is no port; expected 0 to 65535")
    try:
        from midas_dfer.app.server import AppSettings, serve
    except ModuleNotFoundError as error:
        raise RequestError(f"midas app needs {error.name}; install it with: pip install 'midas-dfer[app]'") from error
    trained = packaged_reader() if request.run is None else open_named(request.run)

    def load() -> "Predictor":
        from midas_dfer.predict.predictor import Predictor

        return Predictor.from_pretrained(trained, request.device, request.precision)

    settings = AppSettings(load, trained.described, request.folder, port=request.port)
    serve(settings, browse=not request.no_browser, say=partial(print, flush=True))
