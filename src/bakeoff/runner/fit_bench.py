"""Predictions held against short trainings on this machine."""

from collections.abc import Iterator
from dataclasses import replace

from bakeoff.predict.device import Device
from bakeoff.predict.scores import score
from bakeoff.runner.fit import Fitter, Options
from bakeoff.runner.fit_cases import Case
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.prediction import ScoredCase
from bakeoff.schema.record import Record

CPU = Device(title="CPU", gpu=None, limit_bytes=None, limit_is="")


def score_case(case: Case, workspace: Workspace) -> Iterator[ScoredCase]:
    """By formulas, and by the trace, on what the training added to the host's memory."""
    measured = added_bytes(case.record)
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


def added_bytes(record: Record) -> int | None:
    """Peak over what the process had when everything was imported and no weight was loaded."""
    measured = record.measurement
    if record.status != "finished" or measured is None:
        return None
    return measured.added_host_bytes
