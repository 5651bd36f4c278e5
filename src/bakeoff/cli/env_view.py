"""How environments look to a person."""

from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bakeoff.base.errors import UserError
from bakeoff.compare.numbers import num_bytes, seconds
from bakeoff.envs import ENVIRONMENTS
from bakeoff.envs.installed import all_installed, installed_from
from bakeoff.envs.interpreter import differences, look_at
from bakeoff.envs.locks import read_lock
from bakeoff.schema.environment import EnvironmentCheck

_TOLD = ("torch", "transformers", "peft", "trl", "datasets", "accelerate")


def overview(cache_dir: Path) -> list[dict[str, Any]]:
    """One entry for each environment that there is."""
    return [_entry(name, cache_dir) for name in ENVIRONMENTS.names()]


def overview_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for title in ("name", "framework", "state", "Python", "size", "checked", "folder"):
        table.add_column(title)
    for row in rows:
        size = row["num_bytes"]
        table.add_row(
            row["name"],
            f"{row['distribution']} {row['locked_version']}",
            _state(row),
            row["python_version"] or "",
            num_bytes(size) if size is not None else "",
            _checked(row["checked"]),
            row["folder"] or "",
        )
    return table


def check_view(check: EnvironmentCheck) -> RenderableType:
    """Versions, time and result."""
    spec = ENVIRONMENTS.get(check.name)
    told = (spec.distribution, *_TOLD)
    lines = [
        f"python {check.versions['python']}  {check.python}",
        "  ".join(f"{name} {check.versions[name]}" for name in told if name in check.versions),
    ]
    if check.differences:
        lines.append(f"other than locked: {'; '.join(check.differences)}")
    if check.import_seconds is not None:
        lines.append(f"import {seconds(check.import_seconds)} on {check.device}")
    if check.train_seconds is not None and spec.answers:
        lines.append(f"answering a few questions {seconds(check.train_seconds)}")
    if check.train_seconds is not None and not spec.answers:
        losses = ", ".join(f"{loss:.4f}" for loss in check.losses)
        lines.append(
            f"LoRA training of {len(check.losses)} steps {seconds(check.train_seconds)}, "
            f"start included; losses {losses}"
        )
    verdict = (
        Text(f"{check.name} works", "green")
        if check.ok
        else Text(f"{check.name} fails", "bold red")
    )
    cause = [] if check.error is None else [Text(check.error, "red")]
    return Group(*(Text(line) for line in lines), verdict, *cause)


def _entry(name: str, cache_dir: Path) -> dict[str, Any]:
    spec = ENVIRONMENTS.get(name)
    lock = read_lock(spec)
    there = installed_from(lock, name, cache_dir)
    installed = there[-1] if there else None
    others = [str(one.folder) for one in all_installed(name, cache_dir) if one != installed]
    entry: dict[str, Any] = {
        "name": name,
        "distribution": spec.distribution,
        "locked_version": lock.version(spec.distribution),
        "installed": installed is not None,
        "folder": None,
        "python_version": None,
        "num_bytes": None,
        "as_locked": None,
        "differences": [],
        "checked": None,
        "outdated": others,
    }
    if installed is None:
        return entry
    try:
        wrong = list(differences(lock, look_at(installed.python)))
    except UserError as error:  # the Python that it was built on is gone
        wrong = [str(error)]
    check = installed.last_check()
    return {
        **entry,
        "folder": str(installed.folder),
        "python_version": installed.note.python_version,
        "num_bytes": installed.note.num_bytes,
        "as_locked": not wrong,
        "differences": wrong,
        "checked": None if check is None else {"ok": check.ok, "at": check.checked_at},
    }


def _state(row: dict[str, Any]) -> str:
    if not row["installed"]:
        return "from an older lock" if row["outdated"] else "not installed"
    return "as locked" if row["as_locked"] else f"changed: {row['differences'][0]}"


def _checked(check: dict[str, Any] | None) -> str:
    if check is None:
        return "no"
    return f"{'works' if check['ok'] else 'FAILS'} ({check['at'][:10]})"
