"""Studies that a page started: processes of their own, which outlive the page and its server.

What is started is `bakeoff run`, as a person would type it, so that there is one way to run a
study. ``job.json`` in the study's folder names the process; its log lies beside it.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from bakeoff.base.errors import UserError
from bakeoff.base.files import read_json, write_json_atomic
from bakeoff.base.locks import is_locked
from bakeoff.base.process import (
    collect_detached,
    interrupt,
    is_running,
    now_utc,
    start_detached,
    started_at,
)
from bakeoff.dashboard.site import Site
from bakeoff.runner.process_run import lock_of
from bakeoff.schema.document import Document
from bakeoff.schema.study import Study
from bakeoff.store.runs import STUDIES

_JOB, _LOG = "job.json", "job.log"
Running = Literal["here", "elsewhere"] | None
"""`elsewhere`: by a command that a person typed, which is theirs to stop."""


class Job(Document):
    pid: int
    created: float | None
    """When the process began; with the id it names a process for good."""

    started_at: str
    argv: tuple[str, ...]
    stopped: bool = False
    """Whether a person stopped it from the page."""


class Jobs:
    def __init__(self, site: Site) -> None:
        self._site = site

    def folder(self, study: str) -> Path:
        return self._site.runs_dir / STUDIES / study

    def log_path(self, study: str) -> Path:
        return self.folder(study) / _LOG

    def find(self, study: str) -> Job | None:
        path = self.folder(study) / _JOB
        return Job.model_validate(read_json(path)) if path.is_file() else None

    def running(self, study: str) -> Running:
        """Who works on the study at this moment."""
        collect_detached()
        job = self.find(study)
        if job is not None and job.created is not None and is_running(job.pid, job.created):
            return "here"
        return "elsewhere" if is_locked(lock_of(self.folder(study))) else None

    def recipe_of(self, study: Study) -> Path:
        """The file that the study was made from.

        Raises:
            UserError: It is not there any more, or says something else now.
        """
        path = Path(study.recipe_path)
        path = path if path.is_absolute() else self._site.working_dir / path
        if not path.is_file():
            raise UserError(
                f"the recipe {path} is not there any more",
                hint="start it as a new study: its text is on this page",
            )
        if not study.recipe_text.startswith(path.read_text(encoding="utf-8-sig").rstrip()):
            raise UserError(
                f"the recipe {path} has changed since the study was started",
                hint="run it from a terminal, or start it as a new study",
            )
        return path

    def start(self, study: str, recipe: Path, overrides: Sequence[str], *, force: bool) -> None:
        """Begin the study, or go on with it.

        Raises:
            UserError: It is being run already.
        """
        if self.running(study) is not None:
            raise UserError(f"the study `{study}` is running already")
        arguments = [word for override in overrides for word in ("--set", override)]
        argv = (
            *self._site.command, "run", str(recipe), *arguments,
            "--runs-dir", str(self._site.runs_dir), "--yes", *(["--force"] if force else []),
        )  # fmt: skip
        pid = start_detached(
            argv,
            env=self._site.environment,
            cwd=self._site.working_dir,
            log_path=self.log_path(study),
        )
        job = Job(pid=pid, created=started_at(pid), started_at=now_utc(), argv=argv)
        self._note(study, job)

    def stop(self, study: str) -> None:
        """As Ctrl-C would; at once for the asking page, the process takes its time to tidy up.

        Raises:
            UserError: It was not started from a page, or it has ended.
        """
        job = self.find(study)
        if job is None or self.running(study) != "here":
            raise UserError(
                f"the study `{study}` was not started from this page, or has ended",
                hint="press Ctrl-C where it was started",
            )
        self._note(study, job.model_copy(update={"stopped": True}))
        threading.Thread(target=interrupt, args=(job.pid,), daemon=True).start()

    def _note(self, study: str, job: Job) -> None:
        write_json_atomic(self.folder(study) / _JOB, job.model_dump(mode="json"))
