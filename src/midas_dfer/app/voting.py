"""The routes of an annotation project: what annotators see and do, and what the organiser sees of it."""

import hmac
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from midas_dfer.app.addresses import address_for_others
from midas_dfer.app.annotate.export import label_studio_text, table_text
from midas_dfer.app.annotate.invitation import consent_text, join_key, new_join_key
from midas_dfer.app.annotate.progress import voting_progress
from midas_dfer.app.annotate.project import Project
from midas_dfer.app.annotate.session import Session
from midas_dfer.app.annotate.votes import Annotator, VoteStore
from midas_dfer.app.playable import Playable
from midas_dfer.app.readings import looks_of
from midas_dfer.app.requests import language_of, values_of
from midas_dfer.app.safety import ANNOTATOR, COOKIE, ORGANISER
from midas_dfer.app.words import translated
from midas_dfer.errors import MidasError, RequestError
from midas_dfer.values import LARGEST, is_whole
from midas_dfer.video.suffixes import PICTURE_SUFFIXES

COOKIE_SECONDS = 90 * 24 * 3600
"""How long a browser remembers an annotator."""


class Voting:
    """A project that is open for votes."""

    def __init__(self, project: Project) -> None:
        join_key(project.folder)  # what is wrong with it is said at once
        self.project, self.store = project, VoteStore(project)
        self.session = Session(project, self.store, consent_text(project.folder))
        self.playable = Playable(project.folder / "playable")
        self._closed = False

    def is_join_key(self, key: str) -> bool:
        """Whether this opens the page on which people give their name; compared in constant time."""
        return hmac.compare_digest(key.encode(), join_key(self.project.folder).encode())

    def number_of(self, token: str) -> int | None:
        """The annotator whose token this is."""
        found = self.store.find_annotator(token)
        return None if found is None else found.number

    def routes(self) -> list[Route]:
        """All of them; the guard keeps annotators to those below /vote and /api/vote."""
        return [
            Route("/api/vote", self._task),
            Route("/api/vote", self._vote, methods=["POST"]),
            Route("/api/vote/undo", self._undo, methods=["POST"]),
            Route("/api/vote/agree", self._agree, methods=["POST"]),
            Route("/api/vote/clip/{clip_id}", self._clip),
            Route("/api/vote/clip/{clip_id}/copy", self._copy),
            Route("/api/project", self._progress),
            Route("/api/project/people", self._add, methods=["POST"]),
            Route("/api/project/join", self._new_join_link, methods=["POST"]),
            Route("/api/project/people/{number:int}", self._new_link, methods=["POST"]),
            Route("/api/project/people/{number:int}", self._withdraw, methods=["DELETE"]),
            Route("/api/project/export/{kind}", self._export),
        ]

    async def join(self, name: object) -> Response:
        """Add somebody who came by the common link, and let them in."""
        if not isinstance(name, str):
            return JSONResponse({"needs_name": True})
        _, token = await run_in_threadpool(self.store.add_annotator, name)
        response = JSONResponse({"entered": True, "token": token})
        remember(response, token)
        return response

    def prepare(self) -> None:
        """Have the copies made of clips that browsers do not play as they are; one that is gone is passed over."""
        for clip in sorted(self.project.clips, key=lambda clip: clip.size):  # long ones make few people wait
            if self._closed:
                return
            with suppress(MidasError):
                self.playable.told(self.project.video(clip))

    def close(self) -> None:
        """Stop making copies, and close the database."""
        self._closed = True
        self.playable.close()
        self.store.close()

    def _who(self, request: Request) -> Annotator:
        who: str = request.scope["midas_who"]
        number = int(who.removeprefix(ANNOTATOR)) if who.startswith(ANNOTATOR) else 0
        found = next((each for each in self.store.annotators() if each.number == number), None)
        if found is None:
            raise RequestError("only annotators vote: open your own link, or give yourself one on the project's page")
        return found

    async def _task(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self._told, self._who(request)))

    def _told(self, annotator: Annotator) -> dict[str, Any]:
        task, rules = self.session.task(annotator), self.project.rules
        path = "" if task.clip_id is None else self.project.clip(task.clip_id).path
        return {
            **asdict(task),
            "name": annotator.name,
            "consent": self.session.consent,
            "agreed": self.session.has_agreed(annotator),
            "is_picture": path.lower().endswith(PICTURE_SUFFIXES),
            "several": rules.several,
            "unsure": rules.unsure,
            **looks_of(self.project.classes),
        }

    async def _vote(self, request: Request) -> Response:
        values, annotator = await values_of(request), self._who(request)
        emotions, comment = values.get("emotions"), values.get("comment", "")
        if not isinstance(emotions, list) or not all(isinstance(each, str) for each in emotions):
            raise RequestError("an answer is a list of emotions; load the page again")
        if not isinstance(comment, str) or not isinstance(values.get("clip_id"), str):
            raise RequestError("this answer names no clip; load the page again")
        ms = values.get("ms")
        answer = (values["clip_id"], _number_in(values), tuple(emotions), ms if isinstance(ms, int) else 0, comment)
        await run_in_threadpool(self.session.vote, annotator, *answer)
        return JSONResponse(await run_in_threadpool(self._told, annotator))

    async def _undo(self, request: Request) -> Response:
        values, annotator = await values_of(request), self._who(request)
        await run_in_threadpool(self.session.undo, annotator, _number_in(values))
        return JSONResponse(await run_in_threadpool(self._told, annotator))

    async def _agree(self, request: Request) -> Response:
        text, annotator = (await values_of(request)).get("text"), self._who(request)
        await run_in_threadpool(self.session.agree, annotator, str(text))
        return JSONResponse(await run_in_threadpool(self._told, annotator))

    def _video(self, request: Request) -> Path:
        if request.scope["midas_who"] != ORGANISER:
            self.session.check_agreed(self._who(request))
        return self.project.video(self.project.clip(request.path_params["clip_id"]))

    async def _clip(self, request: Request) -> Response:
        return FileResponse(await run_in_threadpool(lambda: self.playable.of(self._video(request))))

    async def _copy(self, request: Request) -> Response:
        """How far the copy is that a clip needs to be played, if it does; without the file's name."""
        path = await run_in_threadpool(self._video, request)
        told = await run_in_threadpool(self.playable.told, path)
        return JSONResponse({**told, "error": told["error"].replace(path.name, "this clip")})

    async def _progress(self, request: Request) -> Response:
        address = address_for_others(request.app.state.settings.host, request.url.port)
        told, language = await run_in_threadpool(self._summed_up), language_of(request)
        for measure in ("alpha", "kappa"):
            told[measure]["why"] = translated(told[measure]["why"], language)
        notes = [translated(note, language) for note in told["notes"]]
        return JSONResponse({**told, "notes": notes, "address": address})

    def _summed_up(self) -> dict[str, Any]:
        people = self.store.annotators()
        found = voting_progress(self.project, people, self.store.votes())
        return {
            **asdict(found),
            "enough": found.enough,
            **looks_of(self.project.classes),
            "notes": list(self.project.notes),
            "folder": str(self.project.folder),
            "videos": str(self.project.videos),
            "wanted": self.project.rules.votes_wanted,
            "join": join_key(self.project.folder),
            "consent": self.session.consent,
            "agreements": self.store.agreements(self.session.consent),
            "withdrawn": self.store.withdrawn(),
        }

    async def _add(self, request: Request) -> Response:
        name = (await values_of(request)).get("name")
        if not isinstance(name, str):
            raise RequestError("give the name of the annotator")
        added, token = await run_in_threadpool(self.store.add_annotator, name)
        return JSONResponse({"name": added.name, "token": token})

    async def _new_link(self, request: Request) -> Response:
        found = self._named(request)
        return JSONResponse({"name": found.name, "token": await run_in_threadpool(self.store.new_token, found)})

    async def _withdraw(self, request: Request) -> Response:
        """Delete a person, whose name comes with the request, so that no other one is deleted by mistake."""
        found, name = self._named(request), (await values_of(request)).get("name")
        if name != found.name:
            raise RequestError(f"annotator {found.number} is {found.name!r}, not {name!r:.70}: load the page again")
        await run_in_threadpool(self.store.withdraw, found)
        return JSONResponse({"removed": found.name})

    async def _new_join_link(self, request: Request) -> Response:
        await values_of(request)
        return JSONResponse({"join": await run_in_threadpool(new_join_key, self.project.folder)})

    def _named(self, request: Request) -> Annotator:
        number = request.path_params["number"]
        found = next((each for each in self.store.annotators() if each.number == number), None)
        if found is None:
            raise RequestError(f"there is no annotator {number}")
        return found

    async def _export(self, request: Request) -> Response:
        """votes.csv, or tasks for Label Studio."""
        makers: dict[str, tuple[str, str, Callable[[], str]]] = {
            "csv": ("votes.csv", "text/csv; charset=utf-8", self.votes_table),
            "label_studio": (
                "label_studio.json",
                "application/json",
                partial(label_studio_text, self.project, self.store.votes()),
            ),
        }
        kind = request.path_params["kind"]
        if kind not in makers:
            raise RequestError(f"there is no export {kind!r:.20}; there are {', '.join(makers)}")
        name, media, make = makers[kind]
        content = await run_in_threadpool(make)
        return Response(content, media_type=media, headers={"Content-Disposition": f'attachment; filename="{name}"'})

    def num_voted(self) -> int:
        """How many clips have votes."""
        return len({vote.clip for vote in self.store.votes() if not (vote.undone or vote.answer.unsure)})

    def votes_table(self) -> str:
        """The votes as `midas prepare table` takes them; annotators bear numbers."""
        return table_text(self.project, self.store.annotators(), self.store.votes())


def _number_in(values: Mapping[str, Any]) -> int:
    """The number of the task that was answered."""
    number = values.get("number")
    if not (is_whole(number) and 0 < number <= LARGEST):
        raise RequestError("this answer has no number; load the page again")
    return int(number)


def remember(response: Response, token: str) -> None:
    """Let a browser keep an annotator's token, out of reach of scripts."""
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", path="/", max_age=COOKIE_SECONDS)
