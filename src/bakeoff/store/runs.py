"""One directory a run; the record is written last, so that its presence means complete.

- ``RUNS/<run id>/``: plan.json, events.jsonl, timeline.jsonl, log.txt, ..., record.json
- ``RUNS/studies/NAME/``: study.json (plan, recipe, command), report/
- ``RUNS/index.sqlite``: see ``bakeoff.store.index``
"""

import contextlib
import difflib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.base.files import read_json, write_json_atomic
from bakeoff.schema.plan import EvalPlan, TrainPlan, run_name
from bakeoff.schema.record import Record
from bakeoff.schema.study import Study
from bakeoff.store.index import Index
from bakeoff.store.lists import Lists

RECORD = "record.json"
STUDIES = "studies"
_CHUNK = 200
"""Records that are indexed at once."""


class Store:
    """All results under one folder. Safe to use from several processes at once."""

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir
        self._index = Index(runs_dir / "index.sqlite")
        self.unreadable: dict[str, UserError] = {}
        """Run ids whose record cannot be read, found by the last ``sync``."""

    @property
    def lists(self) -> Lists:
        """Of the index as the last ``sync`` left it."""
        return Lists(self._index)

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
        with contextlib.suppress(UserError):  # the record is safe: the next ``sync`` indexes it
            self._index.put([(record, path.stat().st_mtime_ns)])

    def forget_record(self, run_id: str) -> None:
        """Before a failed run is tried again; its log and events stay."""
        (self.run_dir(run_id) / RECORD).unlink(missing_ok=True)
        with contextlib.suppress(UserError):
            self._index.remove([run_id])

    def save_study(self, study: Study) -> None:
        write_json_atomic(self.study_dir(study.name) / "study.json", study.model_dump(mode="json"))

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
        try:
            return Study.model_validate(read_json(path))
        except ValueError as error:
            raise UserError(
                f"{path}: not a study that this version of bakeoff can read: {error}",
                hint="`bakeoff run` of its recipe writes it anew",
            ) from error

    def study_names(self) -> list[str]:
        return sorted(path.parent.name for path in self.runs_dir.glob(f"{STUDIES}/*/study.json"))

    def records(self, study: str | None = None) -> list[Record]:
        """Every record, or those of a study in the order of its plan."""
        self.sync()
        return self._index.records() if study is None else self.study_records(study)

    def study_records(self, study: str) -> list[Record]:
        """Those of a study in the order of its plan, as the last ``sync`` found them."""
        # A run that several studies share has in each of them the place that this study gives it.
        cells = {run_name(step): step.axes for step in self.study(study).runs}
        for run_id in cells.keys() & self.unreadable.keys():
            raise self.unreadable[run_id]
        found = {record.run_id: record for record in self._index.records(list(cells))}
        return [
            found[run_id].model_copy(update={"study": study, "cell": cell})
            for run_id, cell in cells.items()
            if run_id in found
        ]

    def record(self, run_id: str) -> Record | None:
        """As the last ``sync`` found it."""
        return next(iter(self._index.records([run_id])), None)

    def records_of(self, run_ids: Sequence[str]) -> list[Record]:
        """As the last ``sync`` found them, in this order; those that are there."""
        found = {record.run_id: record for record in self._index.records(run_ids)}
        return [found[run_id] for run_id in run_ids if run_id in found]

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
        indexed = self._index.stamps()
        present: set[str] = set()
        changed: list[tuple[Path, int]] = []
        self.unreadable = {}
        for path, stamp in self._record_files():
            present.add(path.parent.name)
            if indexed.get(path.parent.name) != stamp:
                changed.append((path, stamp))
        for start in range(0, len(changed), _CHUNK):
            self._index_records(changed[start : start + _CHUNK])
        present -= self.unreadable.keys()
        self._index.remove([run_id for run_id in indexed if run_id not in present])
        self._sync_studies()

    def _record_files(self) -> Iterator[tuple[Path, int]]:
        """Every record's file with its modification time, nanoseconds."""
        if not self.runs_dir.is_dir():
            return
        with os.scandir(self.runs_dir) as entries:
            names = [e.name for e in entries if not e.name.startswith(".") and e.name != STUDIES]
        for name in names:
            path = self.runs_dir / name / RECORD
            # Not there, or forgotten by another process just now.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                yield path, path.stat().st_mtime_ns

    def _index_records(self, files: Sequence[tuple[Path, int]]) -> None:
        found = []
        for path, stamp in files:
            try:
                found.append((_read_record(path), stamp))
            except FileNotFoundError:
                continue
            except UserError as error:
                self.unreadable[path.parent.name] = error
        self._index.put(found)

    def _sync_studies(self) -> None:
        indexed = self._index.study_stamps()
        present = set()
        for path in self.runs_dir.glob(f"{STUDIES}/*/study.json"):
            name = path.parent.name
            with contextlib.suppress(FileNotFoundError, UserError):  # told when it is asked for
                stamp = path.stat().st_mtime_ns
                if indexed.get(name) != stamp:
                    self._index.put_study(self.study(name), stamp)
                present.add(name)
        self._index.remove_studies([name for name in indexed if name not in present])


def _read_record(path: Path) -> Record:
    try:
        return Record.model_validate(read_json(path))
    except ValueError as error:
        raise UserError(
            f"{path}: not a record that this version of bakeoff can read: {error}",
            hint="move the folder away, or delete it to have the run done again",
        ) from error
