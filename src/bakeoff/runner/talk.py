"""A process that holds a trained model beside the one it started from, and answers questions."""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bakeoff.base.errors import RunError
from bakeoff.base.files import write_files, write_json_atomic
from bakeoff.base.process import Child, log_tail
from bakeoff.runner.use_model import TrainedModel, asking_job
from bakeoff.runner.worker_job import told_error
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.document import Document
from bakeoff.worker_launch import OFFLINE, worker_launch


class Turn(Document):
    """A question of before, with what each said to it."""

    question: str
    base: str
    tuned: str


class Question(Document):
    question: str
    max_new_tokens: int
    temperature: float
    """0: the likeliest token."""

    seed: int = 0
    """Of the tokens that are drawn."""

    earlier: tuple[Turn, ...] = ()
    """The conversation that it goes on with; plain text knows none."""


class Talking:
    """The process; it ends with this one, when it is idle for too long, or by ``close``.

    Questions are answered one after the other, in the order they came. Safe for one thread at a
    time; ``told`` may be read by others.
    """

    def __init__(self, model: TrainedModel, workspace: Workspace, *, idle_seconds: float) -> None:
        self.model = model
        self._made = tempfile.TemporaryDirectory(prefix="bakeoff-talk-", ignore_cleanup_errors=True)
        self._folder = Path(self._made.name).resolve()
        job = {**asking_job(model), "idle_seconds": idle_seconds}
        launch = worker_launch("talk", job, python=workspace.python, env=OFFLINE)
        write_files(self._folder, launch.files)
        self._log = self._folder / "log.txt"
        env = {**workspace.environment, **launch.env}
        self._child = Child(launch.argv, env=env, cwd=self._folder, log_path=self._log)
        self._num_asked = 0

    @property
    def is_running(self) -> bool:
        return self._child.wait(0) is None

    @property
    def is_loaded(self) -> bool:
        return (self._folder / "ready.json").is_file()

    @property
    def is_answering(self) -> bool:
        """Whether a question waits for its answer or the end of it."""
        last = self._folder / f"said-{self._num_asked}.jsonl"
        if not self._num_asked or not self.is_running:
            return False
        return not last.is_file() or not last.read_bytes().endswith(b'{"done": true}\n')

    def ask(self, question: Question) -> int:
        """Its number."""
        self._num_asked += 1
        path = self._folder / f"ask-{self._num_asked}.json"
        write_json_atomic(path, question.model_dump(mode="json"))
        return self._num_asked

    def stop(self, number: int) -> None:
        """Give the answers up where they are."""
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            (self._folder / f"stop-{number}").touch()

    def told(self, number: int) -> Iterator[Mapping[str, Any] | None]:
        """What the models say, as it comes (``bakeoff.worker.talk``); None: nothing new.

        Ends when both have answered.

        Raises:
            RunError: The process ended before; says why.
        """
        position = 0
        while True:
            was_running = self.is_running
            lines, position = _lines_after(self._folder / f"said-{number}.jsonl", position)
            for line in lines:
                told: dict[str, Any] = json.loads(line)
                if told.get("done"):
                    return
                yield told
            if not was_running:
                reason = told_error(self._folder) or "the process that holds the models ended"
                raise RunError(reason, log_tail=log_tail(self._log))
            yield None

    def close(self) -> None:
        self._child.stop()
        self._made.cleanup()


def _lines_after(path: Path, position: int) -> tuple[list[bytes], int]:
    """Whole lines, and where the next one begins."""
    try:
        with path.open("rb") as file:
            file.seek(position)
            data = file.read()
    except FileNotFoundError:
        return [], position
    whole = data[: data.rfind(b"\n") + 1]
    return whole.splitlines(), position + len(whole)
