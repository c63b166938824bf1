"""What an annotator may ask and do: see the next clip, answer, take the last answer back. Nothing of others is told."""

from dataclasses import dataclass

from midas_dfer.app.annotate.order import plan, presentation_of
from midas_dfer.app.annotate.project import Project
from midas_dfer.app.annotate.votes import LONGEST_COMMENT, LONGEST_TIME, Annotator, Answer, VoteStore
from midas_dfer.errors import RequestError
from midas_dfer.values import is_whole
from midas_dfer.wording import harmless, joined


@dataclass(frozen=True)
class Task:
    """All that a person is told; whether a clip is shown for reliability is not.

    Attributes:
        clip_id: of the clip to be watched; None at the end.
        number: of the event that answers; it goes back with the answer, so that no answer counts twice or for a clip
            that was not seen.
        done: answers given.
        left: answers still to be given.
    """

    clip_id: str | None
    number: int
    done: int
    left: int


class Session:
    """The project as annotators meet it; safe to use from several threads.

    `consent` is the organiser's text, to which people agree before they see a clip; empty: there is none.
    """

    def __init__(self, project: Project, store: VoteStore, consent: str = "") -> None:
        self._project = project
        self._store = store
        self.consent = consent

    def has_agreed(self, annotator: Annotator) -> bool:
        """Whether the person agreed to the organiser's text as it is now."""
        return not self.consent or annotator.number in self._store.agreements(self.consent)

    def agree(self, annotator: Annotator, text: str) -> None:
        """Store that the person agrees to the text that was on the page."""
        if text != self.consent:
            raise RequestError("this text was changed meanwhile: load the page again")
        if not self.has_agreed(annotator):
            self._store.agree(annotator, text)

    def check_agreed(self, annotator: Annotator) -> None:
        """Refuse who has not agreed."""
        if not self.has_agreed(annotator):
            raise RequestError("agree to the text of who runs this project first: load the page again")

    def task(self, annotator: Annotator) -> Task:
        """What the person is to do next."""
        history = self._store.history(annotator.number)
        wanted = self._project.rules.votes_wanted
        others = {} if wanted is None else self._store.numbers_of_votes(without=annotator.number)
        found = plan(self._project, annotator.number, history, others)
        clip_id = None if found.clip is None else found.clip.id
        return Task(clip_id, history.events + 1, len(history.votes), found.left)

    def vote(
        self, annotator: Annotator, clip_id: str, number: int, emotions: tuple[str, ...], ms: int, comment: str = ""
    ) -> None:
        """Store an answer; when this returns it is on the disk.

        Args:
            annotator: who answers.
            clip_id: of the task.
            number: of the task.
            emotions: names of the classes that were chosen; none: unsure.
            ms: from the showing to the answer, in milliseconds.
            comment: any words.

        Raises:
            RequestError: the rules do not allow the answer, or the task was answered already.
        """
        self.check_agreed(annotator)
        clip, answer = self._project.clip(clip_id), self._checked(emotions, ms, comment)
        history = self._store.history(annotator.number)
        # The same answer sent again, after a lost connection: the store knows it, but why it was shown is as it was.
        same = next((vote for vote in history.votes if vote.number == number and vote.clip == clip.path), None)
        presentation = same.presentation if same else presentation_of(clip, history.votes)
        if presentation is None or (presentation == "repeat" and not self._project.rules.repeats):
            raise RequestError("this clip was answered already, perhaps in another window: load the page again")
        self._store.add_vote(annotator.number, number, clip.path, presentation, answer)

    def undo(self, annotator: Annotator, number: int) -> None:
        """Take the last answer back, whose clip is then the next; `number` is that of the task on the page."""
        self._store.undo(annotator.number, _whole(number, "number of the task"))

    def _checked(self, emotions: tuple[str, ...], ms: int, comment: str) -> Answer:
        rules, classes = self._project.rules, self._project.classes
        if not set(emotions) <= set(classes) or len(set(emotions)) < len(emotions):
            raise RequestError(f"an answer names classes of the project, each once: {joined(classes)}")
        if not emotions and not rules.unsure:
            raise RequestError("choose an emotion: the answer unsure is not allowed in this project")
        if len(emotions) > 1 and not rules.several:
            raise RequestError("choose one emotion: several are not allowed in this project")
        if len(comment) > LONGEST_COMMENT:
            raise RequestError(f"the comment is longer than {LONGEST_COMMENT} characters: shorten it")
        in_order = tuple(name for name in classes if name in emotions)
        return Answer(in_order, min(max(_whole(ms, "time"), 0), LONGEST_TIME), harmless(comment))


def _whole(value: object, what: str) -> int:
    if not is_whole(value):
        raise RequestError(f"the {what} is {value!r:.60}; expected a whole number")
    return value
