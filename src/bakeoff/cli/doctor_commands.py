"""`bakeoff doctor`."""

import locale
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bakeoff.cli.output import out, print_json
from bakeoff.cli.places import DEFAULT_RUNS_DIR, CacheDir, RunsDir, make_workspace

if TYPE_CHECKING:
    from bakeoff.doctor.machine import TrackerClient
    from bakeoff.schema.findings import Finding

_MARKS = {
    "ok": ("ok     ", "green"),
    "warning": ("warning", "yellow"),
    "problem": ("problem", "red"),
}


def doctor(
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    cache_dir: CacheDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What this machine has and lacks for the work, with the command that mends each."""
    from bakeoff.doctor import examine
    from bakeoff.doctor.read import Surroundings, read_machine, real_readers

    workspace = make_workspace(runs_dir, cache_dir)
    around = Surroundings(
        environment=dict(os.environ),
        python=Path(sys.executable),
        runs_dir=workspace.runs_dir,
        cache_dir=workspace.cache_dir,
        hub=workspace.hub,
        console_encoding=sys.stdout.encoding,
        file_encoding="utf-8" if sys.flags.utf8_mode else locale.getencoding(),
        trackers=_trackers(),
    )
    findings = examine(read_machine(around, real_readers()))
    if as_json:
        print_json([finding.model_dump(mode="json") for finding in findings])
    else:
        _print(findings)
    raise typer.Exit(1 if any(finding.verdict == "problem" for finding in findings) else 0)


def _trackers() -> "tuple[TrackerClient, ...]":
    from bakeoff.doctor.machine import TrackerClient
    from bakeoff.runner.prepare import install_line, shortfalls
    from bakeoff.trackers import TRACKERS

    return tuple(
        TrackerClient(
            name=name,
            missing=tuple(shortfalls(TRACKERS.get(name).requirements)),
            command=install_line(name).strip("`"),
        )
        for name in TRACKERS.names()
    )


def _print(findings: "list[Finding]") -> None:
    from rich.text import Text

    for finding in findings:
        mark, colour = _MARKS[finding.verdict]
        line = Text.assemble((mark, colour), f"  {finding.check}: {finding.text}")
        out().print(line, soft_wrap=True)
        if finding.command is not None:
            out().print(Text(f"         $ {finding.command}", "cyan"), soft_wrap=True)
