"""The one trained model that people talk with at a time: loaded once, let go when idle.

A second one would need its memory too; so whoever asks another model ends the first, unless it is
in the middle of an answer.
"""

import threading

from bakeoff.base.errors import UserError
from bakeoff.runner.talk import Question, Talking
from bakeoff.runner.use_model import TrainedModel
from bakeoff.runner.workspace import Workspace

IDLE_SECONDS = 600.0


class Talks:
    """Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: Talking | None = None

    def ask(
        self, model: TrainedModel, workspace: Workspace, question: Question
    ) -> tuple[Talking, int]:
        """Put the question, starting the process if need be; where the answers come, its number.

        Raises:
            UserError: Another model is in the middle of an answer.
        """
        with self._lock:
            now = self._now
            if now is not None and (now.model.run_id != model.run_id or not now.is_running):
                if now.is_answering:
                    raise UserError(
                        f"the model of {now.model.run_id} is answering a question at this moment",
                        hint="wait for its answer or stop it: one model is held in memory "
                        "at a time",
                    )
                now.close()
                now = None
            if now is None:
                now = self._now = Talking(model, workspace, idle_seconds=IDLE_SECONDS)
            return now, now.ask(question)

    def stop(self, run_id: str, number: int) -> None:
        """Give an answer up; nothing happens where it has ended."""
        with self._lock:
            if self._now is not None and self._now.model.run_id == run_id:
                self._now.stop(number)

    def close(self) -> None:
        """End the process; nobody asks any more."""
        with self._lock:
            if self._now is not None:
                self._now.close()
                self._now = None
