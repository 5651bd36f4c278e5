"""Lists of runs and studies, a page at a time, from the index: no record is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bakeoff.schema.summary import Page, RunSummary, StudyFacts, StudySummary
from bakeoff.store.index import Index

SORTS: Mapping[str, str] = {
    "order": "position",
    "score": "r.score",
    "seconds": "r.seconds",
    "peak_bytes": "r.peak_bytes",
    "loss": "r.loss",
    "tokens_per_second": "r.tokens_per_second",
    "ended_at": "r.ended_at",
}
"""What a list can be sorted by."""

_DONE = "('finished', 'cancelled')"
"""A search ends trials early: that is no failure."""

State = Literal["", "finished", "failed", "left"]
_STATES: Mapping[str, str] = {
    "finished": f"r.status IN {_DONE}",
    "failed": f"r.status NOT IN {_DONE}",
    "left": "r.status IS NULL",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which part of a list."""

    page: int = 1
    size: int = 50
    sort: str = "order"
    descending: bool = False
    kind: str = ""
    """`train`, `eval`, or both."""

    state: str = ""
    words: str = ""
    """All of these stand in the run's id, cell or task."""


class Lists:
    """Reads the index of a store that is synced."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def studies(self, asked: Asked) -> Page:
        """Summaries, the newest first."""
        where, values = _like("s.name", asked.words)
        query = f"""
            SELECT s.facts, COUNT(*), SUM(r.status IN {_DONE}), SUM(r.status NOT IN {_DONE}),
              SUM(p.kind = 'train'), SUM(p.kind = 'eval'),
              MAX(CASE WHEN r.is_tuned THEN r.score END),
              MAX(CASE WHEN NOT r.is_tuned THEN r.score END)
            FROM (SELECT * FROM studies s {where}
                  ORDER BY s.started_at DESC, s.name LIMIT ? OFFSET ?) s
            JOIN study_runs p ON p.study = s.name LEFT JOIN runs r ON r.run_id = p.run_id
            GROUP BY s.name ORDER BY s.started_at DESC, s.name"""  # noqa: S608 - only marks
        with self._index.transaction() as database:
            count = f"SELECT COUNT(*) FROM studies s {where}"  # noqa: S608
            total = database.execute(count, values).fetchone()[0]
            rows = database.execute(query, [*values, *_window(asked)]).fetchall()
        return Page(
            rows=tuple(map(_study_summary, rows)), total=total, page=asked.page, size=asked.size
        )

    def study_facts(self, name: str) -> StudyFacts | None:
        with self._index.transaction() as database:
            query = "SELECT facts FROM studies WHERE name = ?"
            row = database.execute(query, (name,)).fetchone()
        return StudyFacts.model_validate_json(row[0]) if row else None

    def study_counts(self, name: str) -> tuple[int, int, int]:
        """Runs in all, finished ones, failed ones."""
        with self._index.transaction() as database:
            row = database.execute(
                f"SELECT COUNT(*), SUM(r.status IN {_DONE}), SUM(r.status NOT IN {_DONE}) "  # noqa: S608
                "FROM study_runs p LEFT JOIN runs r ON r.run_id = p.run_id WHERE p.study = ?",
                (name,),
            ).fetchone()
        return row[0], row[1] or 0, row[2] or 0

    def runs_of(self, study: str, asked: Asked) -> Page:
        """The runs of a study in the order of its plan, those to do among them."""
        conditions, values = ["p.study = ?"], [study]
        _narrow(asked, "p", conditions, values)
        source = "FROM study_runs p LEFT JOIN runs r ON r.run_id = p.run_id"
        return self._page(f"{source} WHERE {' AND '.join(conditions)}", "p.planned", values, asked)

    def runs(self, asked: Asked) -> Page:
        """Every run that left a record."""
        conditions, values = ["1"], list[str]()
        _narrow(asked, "r", conditions, values)
        source = f"FROM runs r WHERE {' AND '.join(conditions)}"
        return self._page(source, "NULL", values, asked)

    def study_stamp(self, name: str) -> tuple[int, int]:
        """Another one as soon as a record of the study comes, goes or changes."""
        with self._index.transaction() as database:
            row = database.execute(
                "SELECT COUNT(*), TOTAL(r.stamp) FROM study_runs p JOIN runs r "
                "ON r.run_id = p.run_id WHERE p.study = ?",
                (name,),
            ).fetchone()
        return row[0], int(row[1])

    def stamps_of(self, run_ids: Sequence[str]) -> tuple[int, ...]:
        """Other ones as soon as one of these records changes."""
        marks = ",".join("?" * len(run_ids))
        query = f"SELECT stamp FROM runs WHERE run_id IN ({marks}) ORDER BY run_id"  # noqa: S608
        with self._index.transaction() as database:
            return tuple(row[0] for row in database.execute(query, list(run_ids)))

    def unfinished(self, study: str) -> list[str]:
        """Ids of the runs of a study without a record, in order."""
        with self._index.transaction() as database:
            rows = database.execute(
                "SELECT p.run_id FROM study_runs p LEFT JOIN runs r ON r.run_id = p.run_id "
                "WHERE p.study = ? AND r.run_id IS NULL ORDER BY p.position",
                (study,),
            ).fetchall()
        return [row[0] for row in rows]

    def studies_of(self, run_id: str) -> list[str]:
        """Studies whose plan holds the run."""
        with self._index.transaction() as database:
            query = "SELECT DISTINCT study FROM study_runs WHERE run_id = ? ORDER BY study"
            return [row[0] for row in database.execute(query, (run_id,))]

    def children_of(self, run_ids: Sequence[str]) -> list[RunSummary]:
        """Finished evaluations of the models that these trainings made."""
        marks = ",".join("?" * len(run_ids))
        query = (
            "SELECT r.summary FROM runs r WHERE r.kind = 'eval' AND r.status = 'finished' AND "  # noqa: S608
            f"r.parent IN ({marks}) ORDER BY r.ended_at"
        )
        with self._index.transaction() as database:
            rows = database.execute(query, list(run_ids)).fetchall()
        return [RunSummary.model_validate_json(row[0]) for row in rows]

    def _page(self, source: str, planned: str, values: list[str], asked: Asked) -> Page:
        by = SORTS.get(asked.sort, "position")
        if planned == "NULL" and by == "position":
            by = "r.ended_at"
        down = "DESC" if asked.descending else "ASC"
        order = f"ORDER BY {by} IS NULL, {by} {down}"
        if planned != "NULL":
            order += ", position"
        query = f"SELECT {planned}, r.summary {source} {order} LIMIT ? OFFSET ?"
        with self._index.transaction() as database:
            total = database.execute(f"SELECT COUNT(*) {source}", values).fetchone()[0]
            rows = database.execute(query, [*values, *_window(asked)]).fetchall()
        return Page(
            rows=tuple(_run_summary(*row) for row in rows),
            total=total,
            page=asked.page,
            size=asked.size,
        )


def _narrow(asked: Asked, table: str, conditions: list[str], values: list[str]) -> None:
    if asked.kind in ("train", "eval"):
        conditions.append(f"{table}.kind = '{asked.kind}'")
    if asked.state in _STATES:
        conditions.append(_STATES[asked.state])
    for word in asked.words.lower().split():
        conditions.append(f"{table}.words LIKE ? ESCAPE '\\'")
        values.append(f"%{_escaped(word)}%")


def _like(column: str, words: str) -> tuple[str, list[str]]:
    if not words.strip():
        return "", []
    return f"WHERE {column} LIKE ? ESCAPE '\\'", [f"%{_escaped(words.strip())}%"]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _window(asked: Asked) -> list[Any]:
    return [asked.size, (asked.page - 1) * asked.size]


def _study_summary(row: Sequence[Any]) -> StudySummary:
    facts = StudyFacts.model_validate_json(row[0])
    return StudySummary(
        name=facts.name,
        started_at=facts.started_at,
        model=facts.model,
        num_runs=row[1],
        num_finished=row[2] or 0,
        num_failed=row[3] or 0,
        num_trainings=row[4],
        num_evaluations=row[5],
        best_score=row[6],
        base_score=row[7],
    )


def _run_summary(plan: str | None, done: str | None) -> RunSummary:
    """Facts of the record, in the place that the study gives the run."""
    if plan is None or done is None:
        return RunSummary.model_validate_json(done or plan or "")
    place = RunSummary.model_validate_json(plan)
    return RunSummary.model_validate_json(done).model_copy(update={"cell": place.cell})
