"""Weights & Biases: a project a study; offline, to be sent later, unless logged in."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from bakeoff.base.credentials import is_logged_in, without_secrets
from bakeoff.interfaces import Point, RunEnd, TrackedRun

_BY_SECONDS = "memory"
"""The group of curves over the seconds since the start; the others are over steps."""


class WandbTracker:
    requirements: ClassVar[tuple[str, ...]] = ("wandb>=0.20",)
    is_parallel: ClassVar[bool] = True

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment

    def variables(self) -> Mapping[str, str]:
        return {
            "WANDB_DIR": str(self._folder),
            "WANDB_MODE": self._mode(),
            "WANDB_SILENT": "true",
            "WANDB_CONSOLE": "off",
            # Of this process, which is not the trainer.
            "WANDB_X_DISABLE_STATS": "true",
            "WANDB_X_DISABLE_META": "true",
            "WANDB_DISABLE_GIT": "true",
            "WANDB_DISABLE_CODE": "true",
        }

    def address(self) -> str:
        return f"{self._mode()} {self._host()} {self._place()}"

    def look(self) -> str:
        if self._mode() == "online":
            return f"https://{self._host().replace('api.wandb.ai', 'wandb.ai')}"
        return f'wandb sync "{self._place() / "wandb"}"/offline-run-*'

    def open(self, run: TrackedRun, known: str | None) -> "_Run":
        import wandb

        self._place().mkdir(parents=True, exist_ok=True)
        is_new = known is None or not self._is_there(known)
        opened = wandb.init(
            project=self._environment.get("WANDB_PROJECT") or run.study,
            id=run.run_id,
            name=run.name,
            group=run.study,
            job_type=run.kind,
            tags=[run.study, run.kind],
            config={**run.settings, "bakeoff": dict(run.tags)},
            resume="allow",
            reinit="create_new",
        )
        return _Run(opened, run.run_id, is_new=is_new)

    def _is_there(self, run_id: str) -> bool:
        offline = self._mode() != "online"
        return not offline or any((self._place() / "wandb").glob(f"*-{run_id}"))

    def _mode(self) -> str:
        given = self._environment.get("WANDB_MODE")
        if given is not None:
            return given
        files = (self._environment.get("NETRC", ".netrc"), "_netrc")
        has_key = "WANDB_API_KEY" in self._environment
        logged_in = has_key or is_logged_in(self._host(), files, self._environment)
        return "online" if logged_in else "offline"

    def _host(self) -> str:
        address = self._environment.get("WANDB_BASE_URL", "https://api.wandb.ai")
        return without_secrets(address).partition("://")[2].strip("/")

    def _place(self) -> Path:
        return Path(self._environment.get("WANDB_DIR") or self._folder)


class _Run:
    def __init__(self, run: Any, run_id: str, *, is_new: bool) -> None:
        self._run = run
        self.id = run_id
        self.is_new = is_new
        for name in ("step", "seconds"):
            run.define_metric(name, hidden=True)
        run.define_metric("*", step_metric="step")
        run.define_metric(f"{_BY_SECONDS}/*", step_metric="seconds")

    def log(self, points: Sequence[Point]) -> None:
        for row in _rows(points):
            self._run.log(row)

    def end(self, end: RunEnd) -> None:
        self._run.config.update({"effective": dict(end.settings)}, allow_val_change=True)
        about = {"status": end.status, "error": end.error, **end.tags}
        self._run.summary.update({**end.figures, **{f"about/{k}": v for k, v in about.items()}})
        for path in end.files:
            self._run.save(str(path), base_path=str(path.parent), policy="now")
        self._run.finish(exit_code=0 if end.status == "finished" else 1)


def _rows(points: Sequence[Point]) -> Iterator[dict[str, float]]:
    """Points that follow each other at one step make one row of the history."""

    def axis(point: Point) -> tuple[str, int]:
        by_seconds = point.series.partition("/")[0] == _BY_SECONDS
        return "seconds" if by_seconds else "step", point.step

    for (name, step), found in groupby(points, axis):
        yield {name: step, **{point.series: point.value for point in found}}
