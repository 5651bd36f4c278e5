"""Trackio: a project a study, in a SQLite file unless TRACKIO_SPACE_ID or a server is named."""

import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from bakeoff.base.credentials import without_secrets
from bakeoff.interfaces import Point, RunEnd, TrackedRun

_ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")


class TrackioTracker:
    requirements: ClassVar[tuple[str, ...]] = ("trackio>=0.20",)
    is_parallel: ClassVar[bool] = False

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment

    def variables(self) -> Mapping[str, str]:
        return {"TRACKIO_DIR": str(self._folder)}

    def address(self) -> str:
        named = [self._environment[name] for name in _ELSEWHERE if name in self._environment]
        # A server's address may hold its write token behind the question mark.
        return without_secrets(named[0]).partition("?")[0] if named else str(self._place())

    def look(self) -> str:
        if "TRACKIO_SPACE_ID" in self._environment:
            return f"https://huggingface.co/spaces/{self.address()}"
        if "TRACKIO_SERVER_URL" in self._environment:
            return self.address()
        if sys.platform == "win32":
            return f'set "TRACKIO_DIR={self._place()}" && trackio show'
        return f'TRACKIO_DIR="{self._place()}" trackio show'

    def open(self, run: TrackedRun, known: str | None) -> "_Run":
        import trackio

        self._place().mkdir(parents=True, exist_ok=True)
        opened = trackio.init(
            project=run.study,
            name=run.unique_name,
            group=run.kind,
            config={**run.settings, **run.tags},
            # Found by its name; one that was never sent from here begins anew.
            resume="never" if known is None else "allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        return _Run(opened, is_new=known is None or opened.id != known)

    def _place(self) -> Path:
        return Path(self._environment.get("TRACKIO_DIR") or self._folder)


class _Run:
    """Trackio keeps one run at a time for the whole process."""

    def __init__(self, run: Any, *, is_new: bool) -> None:
        self._run = run
        self.id = str(run.id)
        self.is_new = is_new
        self._last_step = 0

    def log(self, points: Sequence[Point]) -> None:
        for step, found in groupby(points, lambda point: point.step):
            self._run.log({point.series: point.value for point in found}, step=step)
            self._last_step = max(self._last_step, step)

    def end(self, end: RunEnd) -> None:
        import trackio

        about = {"status": end.status, **end.tags}
        self._run.log({**end.figures, **about}, step=self._last_step)
        if end.status != "finished":
            level = trackio.AlertLevel.ERROR if end.status == "failed" else trackio.AlertLevel.WARN
            self._run.alert(end.status, (end.error or "it may go on later")[:2000], level=level)
        self._run.finish()
