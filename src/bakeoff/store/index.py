"""SQLite index over run directories; can always be rebuilt from them.

Every call opens its own connection: the file may be deleted, or used by another process, at any
moment between two calls. A file that is no index of this version is made anew.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.schema.record import Record

_VERSION = 2
_BUSY_SECONDS = 30.0
_CHUNK = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    ended_at TEXT NOT NULL,
    stamp INTEGER NOT NULL,
    record TEXT NOT NULL
);
"""


class Index:
    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, record: Record, stamp: int) -> None:
        with self._transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?)",
                (
                    record.run_id,
                    record.kind,
                    record.status,
                    record.provenance.ended_at,
                    stamp,
                    record.model_dump_json(),
                ),
            )

    def remove(self, run_ids: Sequence[str]) -> None:
        if run_ids:
            with self._transaction() as database:
                database.executemany(
                    "DELETE FROM runs WHERE run_id = ?", [(run_id,) for run_id in run_ids]
                )

    def records(self, run_ids: Sequence[str] | None = None) -> list[Record]:
        """Oldest first; with ids, only those that are there."""
        texts: list[str] = []
        with self._transaction() as database:
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
        with self._transaction() as database:
            return dict(database.execute("SELECT run_id, stamp FROM runs"))

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
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
