"""Predictions held against short trainings on this machine."""

from collections.abc import Iterator
from dataclasses import replace

from bakeoff.base.files import iter_jsonl
from bakeoff.predict.device import Device
from bakeoff.predict.scores import score
from bakeoff.runner.fit import Fitter, Options
from bakeoff.runner.fit_cases import Case
from bakeoff.runner.process_run import TIMELINE
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.events import PhaseEvent, read_events_file
from bakeoff.schema.prediction import ScoredCase

CPU = Device(title="CPU", gpu=None, limit_bytes=None, limit_is="")


def score_case(case: Case, workspace: Workspace) -> Iterator[ScoredCase]:
    """By formulas, and by the trace, on what the training added to the host's memory."""
    measured = added_bytes(case)
    if measured is None:
        return
    traced = Options(device=CPU)
    for options in (traced, replace(traced, may_trace=False)):
        found = Fitter(case.study, workspace, options).fit(case.plan).prediction
        if found is None or found.host_bytes is None:
            continue
        if options.may_trace and found.source != "trace":
            continue
        source = f"{found.source}, {case.plan.backend}"
        yield score(case.name, source, "host", predicted=found.host_bytes, measured=measured)


def added_bytes(case: Case) -> int | None:
    """Peak over what the process had when everything was imported and no weight was loaded."""
    peak = case.record.measurement.peak_host_bytes if case.record.measurement else None
    events = read_events_file(case.run_dir / "events.jsonl")
    loads = [e.at for e in events if isinstance(e, PhaseEvent) and e.phase == "load_model"]
    if case.record.status != "finished" or peak is None or not loads:
        return None
    before = [s for s in iter_jsonl(case.run_dir / TIMELINE) if s["at"] <= loads[-1]]
    return peak - int(before[-1]["host_bytes"]) if before else None
