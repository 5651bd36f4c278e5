"""SQLite index over run directories; can always be rebuilt from them.

Every call opens its own connection: the file may be deleted, or used by another process, at any
moment between two calls. A file that is no index of this version is made anew.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.schema.plan import TrainPlan
from bakeoff.schema.record import Record
from bakeoff.schema.study import Study
from bakeoff.schema.summary import RunSummary, facts_of, planned, summary_of

_VERSION = 4
_BUSY_SECONDS = 30.0
_CHUNK = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    ended_at TEXT NOT NULL,
    stamp INTEGER NOT NULL,
    is_tuned INTEGER NOT NULL,
    parent TEXT,
    score REAL,
    seconds REAL,
    peak_bytes INTEGER,
    loss REAL,
    tokens_per_second REAL,
    words TEXT NOT NULL,
    summary TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS runs_by_end ON runs (ended_at);
CREATE INDEX IF NOT EXISTS runs_by_parent ON runs (parent);
CREATE TABLE IF NOT EXISTS studies (
    name TEXT PRIMARY KEY,
    stamp INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    facts TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS study_runs (
    study TEXT NOT NULL,
    position INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    words TEXT NOT NULL,
    planned TEXT NOT NULL,
    PRIMARY KEY (study, position)
);
CREATE INDEX IF NOT EXISTS study_runs_by_run ON study_runs (run_id);
"""


class Index:
    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, records: Sequence[tuple[Record, int]]) -> None:
        """Each record with the modification time of its file."""
        with self.transaction() as database:
            marks = ", ".join("?" * 15)
            database.executemany(
                f"INSERT OR REPLACE INTO runs VALUES ({marks})",  # noqa: S608 - question marks
                [_run_row(record, stamp) for record, stamp in records],
            )

    def put_study(self, study: Study, stamp: int) -> None:
        trainings = {step.id: step for step in study.runs if isinstance(step, TrainPlan)}
        facts = facts_of(study)
        runs = [planned(step, trainings) for step in study.runs]
        with self.transaction() as database:
            database.execute("DELETE FROM study_runs WHERE study = ?", (study.name,))
            database.execute(
                "INSERT OR REPLACE INTO studies VALUES (?, ?, ?, ?)",
                (study.name, stamp, study.started_at, facts.model_dump_json()),
            )
            database.executemany(
                "INSERT INTO study_runs VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (study.name, i, run.run_id, run.kind, words_of(run), run.model_dump_json())
                    for i, run in enumerate(runs)
                ],
            )

    def study_stamps(self) -> dict[str, int]:
        """Modification time of each indexed study's file, nanoseconds."""
        with self.transaction() as database:
            return dict(database.execute("SELECT name, stamp FROM studies"))

    def remove_studies(self, names: Sequence[str]) -> None:
        if names:
            with self.transaction() as database:
                for table, column in (("studies", "name"), ("study_runs", "study")):
                    database.executemany(
                        f"DELETE FROM {table} WHERE {column} = ?",  # noqa: S608 - names above
                        [(name,) for name in names],
                    )

    def remove(self, run_ids: Sequence[str]) -> None:
        if run_ids:
            with self.transaction() as database:
                database.executemany(
                    "DELETE FROM runs WHERE run_id = ?", [(run_id,) for run_id in run_ids]
                )

    def records(self, run_ids: Sequence[str] | None = None) -> list[Record]:
        """Oldest first; with ids, only those that are there."""
        texts: list[str] = []
        with self.transaction() as database:
            if run_ids is None:
                rows = database.execute("SELECT record FROM runs ORDER BY ended_at, run_id")
                texts = [row[0] for row in rows]
            else:
                for start in range(0, len(run_ids), _CHUNK):
                    chunk = run_ids[start : start + _CHUNK]
                    marks = ",".join("?" * len(chunk))
                    query = f"SELECT record FROM runs WHERE run_id IN ({marks})"  # noqa: S608
                    texts += [row[0] for row in database.execute(query, list(chunk))]
        return [Record.model_validate_json(text) for text in texts]

    def run_ids(self) -> list[str]:
        return sorted(self.stamps())

    def stamps(self) -> dict[str, int]:
        """Modification time of each indexed record's file, nanoseconds."""
        with self.transaction() as database:
            return dict(database.execute("SELECT run_id, stamp FROM runs"))

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with contextlib.closing(self._open()) as database, database:
                yield database
        except sqlite3.OperationalError as error:
            raise UserError(
                f"the index {self._path} cannot be used: {error}",
                hint="the results are safe in their folders; if no other bakeoff is at work, "
                "delete the index and it is made again",
            ) from error

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=_BUSY_SECONDS)
        try:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version == _VERSION:
                return database
            if version == 0:
                database.executescript(f"{_SCHEMA} PRAGMA user_version = {_VERSION};")
                return database
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, disk full: not a bad file
                database.close()
                raise
        database.close()
        self.clear()
        return self._open()


def _run_row(record: Record, stamp: int) -> tuple[object, ...]:
    summary = summary_of(record)
    figures = summary.figures
    assert figures is not None  # noqa: S101 - a record has figures
    return (
        record.run_id,
        record.kind,
        record.status,
        record.provenance.ended_at,
        stamp,
        record.parent_run_id is not None,
        record.parent_run_id,
        figures.score,
        figures.seconds,
        figures.peak_bytes,
        figures.loss,
        figures.tokens_per_second,
        words_of(summary),
        summary.model_dump_json(),
        record.model_dump_json(),
    )


def words_of(run: RunSummary) -> str:
    """What a search looks through."""
    cell = (f"{axis}={value}" for axis, value in run.cell.items())
    return " ".join([run.run_id, *cell, run.task or ""]).lower()
