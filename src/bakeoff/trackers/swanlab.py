"""SwanLab: a project a study; in local files, to be watched or sent later, unless logged in."""

import importlib.util
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from bakeoff.base.credentials import is_logged_in, without_secrets
from bakeoff.interfaces import Point, RunEnd, TrackedRun

_STATUS = {"finished": "success", "failed": "crashed", "killed": "aborted"}
_ONLINE = ("online", "cloud")
"""The modes that are not in local files."""


class SwanlabTracker:
    requirements: ClassVar[tuple[str, ...]] = ("swanlab>=0.8",)
    is_parallel: ClassVar[bool] = False

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment

    def variables(self) -> Mapping[str, str]:
        return {
            "SWANLAB_MODE": self._mode(),
            "SWANLAB_LOG_DIR": str(self._folder),
            "SWANLAB_INTERACTIVE": "false",
            # Of this process, which is not the trainer.
            "SWANLAB_TERMINAL_PROXY_TYPE": "none",
            "SWANLAB_PROBE_MONITOR": "false",
            "SWANLAB_PROBE_RUNTIME": "false",
            "SWANLAB_PROBE_REQUIREMENTS": "false",
            "SWANLAB_PROBE_GIT": "false",
        }

    def address(self) -> str:
        return f"{self._mode()} {self._host()} {self._place()}"

    def look(self) -> str:
        if self._mode() in _ONLINE:
            return f"https://{self._host().removeprefix('api.')}"
        if self._mode() == "local":
            return f'swanlab watch "{self._place()}"'
        return f'swanlab sync "{self._place()}"/run-*'

    def open(self, run: TrackedRun, known: str | None) -> "_Run":
        import swanlab

        self._place().mkdir(parents=True, exist_ok=True)
        is_new = known is None or not self._is_there(known)
        opened = swanlab.init(
            project=self._environment.get("SWANLAB_PROJ_NAME") or run.study,
            name=run.unique_name,
            id=run.run_id,
            # The other modes make a folder a start; sending both of them makes one run again.
            resume="allow" if self._mode() in _ONLINE else "never",
            group=run.study,
            job_type=run.kind,
            tags=[run.study, run.kind],
            config={**run.settings, "bakeoff": dict(run.tags)},
        )
        return _Run(opened, run.run_id, is_new=is_new)

    def _is_there(self, run_id: str) -> bool:
        is_online = self._mode() in _ONLINE
        content_id = run_id.rpartition("-")[2]  # the other dashes are none in a folder's name
        return is_online or any(self._place().glob(f"*{content_id}*"))

    def _mode(self) -> str:
        given = self._environment.get("SWANLAB_MODE")
        if given is not None:
            return given
        has_key = "SWANLAB_API_KEY" in self._environment
        if has_key or is_logged_in(self._host(), (".swanlab/.netrc",), self._environment):
            return "online"
        # The board that shows local runs is a package of its own.
        return "local" if importlib.util.find_spec("swanboard") is not None else "offline"

    def _host(self) -> str:
        address = self._environment.get("SWANLAB_API_HOST", "https://api.swanlab.cn")
        return without_secrets(address).partition("://")[2].strip("/")

    def _place(self) -> Path:
        given = self._environment.get("SWANLAB_LOG_DIR") or self._environment.get("SWANLAB_LOGDIR")
        return Path(given or self._folder)


class _Run:
    """SwanLab keeps one run at a time for the whole process."""

    def __init__(self, run: Any, run_id: str, *, is_new: bool) -> None:
        self._run = run
        self.id = run_id
        self.is_new = is_new

    def log(self, points: Sequence[Point]) -> None:
        for step, found in groupby(points, lambda point: point.step):
            self._run.log({point.series: point.value for point in found}, step=step)

    def end(self, end: RunEnd) -> None:
        self._run.config.update({"effective": dict(end.settings), "result": dict(end.tags)})
        if end.figures:
            self._run.log(dict(end.figures), step=0)
        error = end.error or end.status
        state = _STATUS[end.status]
        self._run.finish(state, error=error if state == "crashed" else None)
