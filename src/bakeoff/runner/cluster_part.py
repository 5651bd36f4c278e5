"""One small study as one task of a cluster, watched from here, as a search needs it."""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bakeoff.backends import BACKENDS
from bakeoff.base.files import write_text_atomic
from bakeoff.runner.cluster import Cluster, collect, connected, token_in
from bakeoff.runner.cluster_task import END_WANTED, Part
from bakeoff.runner.execute import WhyEnd
from bakeoff.runner.observer import Observer, Position
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.study import StudyOutcome, StudyRunner
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import EvalPlan, TrainPlan, run_name
from bakeoff.schema.recipe_machine import ClusterSpec
from bakeoff.store.runs import Store

_LOOK_SECONDS = 0.5

RunPart = Callable[[PreparedStudy, Observer, WhyEnd], StudyOutcome]
"""Does the steps of a small study, wherever that is; safe to call from several threads."""


def part_runner(workspace: Workspace) -> AbstractContextManager[RunPart]:
    """Runs parts here, or on the workspace's cluster, as long as the block lasts."""
    if workspace.cluster is None:
        return contextlib.nullcontext(
            lambda study, observer, why_end: StudyRunner(
                study, workspace, observer, why_end=why_end
            ).do_steps()
        )
    return _on_cluster(workspace, workspace.cluster)


@contextlib.contextmanager
def _on_cluster(workspace: Workspace, spec: ClusterSpec) -> Iterator[RunPart]:
    store = Store(workspace.runs_dir)
    token_file = token_in(workspace.runs_dir)
    with connected(spec, workspace.runs_dir) as cluster, token_file as (token, token_path):

        def run(study: PreparedStudy, observer: Observer, why_end: WhyEnd) -> StudyOutcome:
            part = Part(
                study=study, workspace=workspace, force=False, token=token, token_path=token_path
            )
            watched = _Watched(study, store, observer, why_end)
            return _run_watched(cluster, part, watched)

        yield run


def _run_watched(cluster: Cluster, part: Part, watched: "_Watched") -> StudyOutcome:
    job = cluster.submit(part)
    while not cluster.is_done(job):
        time.sleep(_LOOK_SECONDS)
        watched.look()
    watched.look()
    done = cluster.result_of(job)
    collect(done, watched.store)
    for record in done.outcome.records:
        step = next(step for step in watched.runs if run_name(step) == record.run_id)
        watched.observer.step_finished(step, record, reused=done.outcome.num_run == 0)
    return done.outcome


class _Watched:
    """Follows the runs of a part by their files, which is possible in a folder that is shared."""

    def __init__(
        self, study: PreparedStudy, store: Store, observer: Observer, why_end: WhyEnd
    ) -> None:
        self.store = store
        self.observer = observer
        self._why_end = why_end
        self.runs = study.plan.runs
        self._seen: dict[str, int] = {}
        for index, step in enumerate(self.runs, start=1):
            self._file(step).unlink(missing_ok=True)
            if isinstance(step, TrainPlan):
                # What an earlier attempt told is told already.
                self._seen[step.id] = len(self._events(step))
                observer.step_started(step, Position(index, len(self.runs)))

    def look(self) -> None:
        """Pass on what is new, and say so where a run is no longer wanted."""
        for step in self.runs:
            if isinstance(step, TrainPlan):
                events = self._events(step)
                for event in events[self._seen[step.id] :]:
                    self.observer.event(step, event)
                self._seen[step.id] = len(events)
            reason = self._why_end(step)
            if reason is not None and self._file(step).parent.is_dir():
                write_text_atomic(self._file(step), reason)

    def _events(self, step: TrainPlan) -> list[Any]:
        run_dir = self.store.run_dir(run_name(step))
        return list(BACKENDS.get(step.backend)().read_events(run_dir)) if run_dir.is_dir() else []

    def _file(self, step: TrainPlan | EvalPlan) -> Path:
        return self.store.run_dir(run_name(step)) / END_WANTED
