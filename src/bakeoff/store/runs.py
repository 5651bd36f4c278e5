"""One directory a run; the record is written last, so that its presence means complete.

- ``RUNS/<run id>/``: plan.json, events.jsonl, timeline.jsonl, log.txt, ..., record.json
- ``RUNS/studies/NAME/``: study.json (plan, recipe, command), report/
- ``RUNS/index.sqlite``: see ``bakeoff.store.index``
"""

import difflib
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from bakeoff.base.errors import UserError
from bakeoff.base.files import read_json, write_json_atomic
from bakeoff.schema.plan import EvalPlan, TrainPlan, run_name
from bakeoff.schema.record import Record
from bakeoff.schema.study import Study
from bakeoff.store.index import Index

RECORD = "record.json"
STUDIES = "studies"


class Store:
    """All results under one folder. Safe to use from several processes at once."""

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir
        self._index = Index(runs_dir / "index.sqlite")

    def run_dir(self, run_id: str) -> Path:
        return self.runs_dir / run_id

    def study_dir(self, study: str) -> Path:
        return self.runs_dir / STUDIES / study

    def record_of(self, step: TrainPlan | EvalPlan) -> Record | None:
        """The step's record, or None when it was never completed."""
        path = self.run_dir(run_name(step)) / RECORD
        return _read_record(path) if path.is_file() else None

    def save_record(self, record: Record) -> None:
        path = self.run_dir(record.run_id) / RECORD
        write_json_atomic(path, record.model_dump(mode="json"))
        self._index.put(record, path.stat().st_mtime_ns)

    def forget_record(self, run_id: str) -> None:
        """Before a failed run is tried again; its log and events stay."""
        (self.run_dir(run_id) / RECORD).unlink(missing_ok=True)
        self._index.remove([run_id])

    def save_study(self, study: Study) -> None:
        write_json_atomic(self.study_dir(study.name) / "study.json", study.model_dump(mode="json"))
        self._index.put_study(study.name, study.run_ids)

    def study(self, name: str) -> Study:
        path = self.study_dir(name) / "study.json"
        if not path.is_file():
            known = self.study_names()
            close = difflib.get_close_matches(name, known, n=1)
            raise UserError(
                f"no study `{name}` in {self.runs_dir}",
                hint=f"did you mean `{close[0]}`?"
                if close
                else f"known: {', '.join(known) or 'none yet'}; --runs-dir names another place",
            )
        return Study.model_validate(read_json(path))

    def study_names(self) -> list[str]:
        return sorted(path.parent.name for path in self.runs_dir.glob(f"{STUDIES}/*/study.json"))

    def records(self, study: str | None = None) -> list[Record]:
        """Every record, or those of a study in the order of its plan."""
        self.sync()
        if study is None:
            return self._index.records()
        run_ids = self.study(study).run_ids
        found = {record.run_id: record for record in self._index.records(run_ids)}
        return [
            found[run_id].model_copy(update={"study": study})
            for run_id in run_ids
            if run_id in found
        ]

    def find(self, name: str) -> Record:
        """The record whose id is ``name``, starts with it, or ends in it, if there is one only."""
        self.sync()
        ids = self._index.run_ids()
        matches = [name] if name in ids else [i for i in ids if i.startswith(name)]
        matches = matches or [i for i in ids if i.endswith(name)]
        if len(matches) == 1:
            return self._index.records(matches)[0]
        if matches:
            shown = "\n  ".join(matches[:10])
            raise UserError(f"`{name}` could be any of:\n  {shown}", hint="type more of the id")
        close = difflib.get_close_matches(name, ids, n=1, cutoff=0.4)
        raise UserError(
            f"no run `{name}` in {self.runs_dir}",
            hint=f"did you mean `{close[0]}`?" if close else "`bakeoff results` lists the runs",
        )

    def rebuild(self) -> int:
        """Make the index anew from the directories; returns the number of records."""
        self._index.clear()
        self.sync()
        return len(self._index.run_ids())

    def sync(self) -> None:
        """Let the index agree with the directories; cheap when nothing changed."""
        present = {path.parent.name: path.stat().st_mtime_ns for path in self._record_paths()}
        indexed = self._index.stamps()
        self._index.remove([run_id for run_id in indexed if run_id not in present])
        for run_id, stamp in present.items():
            if indexed.get(run_id) != stamp:
                self._index.put(_read_record(self.run_dir(run_id) / RECORD), stamp)
        studies = self._index.studies()
        for name in self.study_names():
            if name not in studies:
                self._index.put_study(name, self.study(name).run_ids)

    def _record_paths(self) -> Iterator[Path]:
        return self.runs_dir.glob(f"[!.]*/{RECORD}")


def _read_record(path: Path) -> Record:
    try:
        return Record.model_validate(read_json(path))
    except (ValidationError, ValueError) as error:
        raise UserError(
            f"{path}: not a record that this version of bakeoff can read: {error}",
            hint="move the folder away, or delete it to have the run done again",
        ) from error
