"""Everything that a report says, as plain values; the templates only lay it out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bakeoff.compare import numbers
from bakeoff.compare.constants import ALPHA
from bakeoff.compare.frameworks import SideBySide, side_by_side
from bakeoff.compare.names import is_base, name_runs, named_in_text
from bakeoff.compare.pairs import MOST_MODELS, trained_pairs
from bakeoff.compare.phrases import ENGLISH, Voice
from bakeoff.compare.repeats import without_repeats
from bakeoff.compare.seeds import is_grouped, num_seeds, seed_groups
from bakeoff.compare.strategies import compare_strategies
from bakeoff.compare.tables import (
    format_shares,
    load_all_samples,
    num_tests,
    study_rows,
)
from bakeoff.compare.verdict import seeds_sentence, verdict
from bakeoff.report import costs, results, settings
from bakeoff.report.examples import Example, pick_examples
from bakeoff.report.framework_words import summary
from bakeoff.report.frameworks import FrameworksPart, frameworks_parts
from bakeoff.report.strategies import StrategiesPart, strategies_parts
from bakeoff.report.table import Table, Tone
from bakeoff.schema.comparison import Row, SeedGroup
from bakeoff.schema.plan import EvalPlan, Plan, TrainPlan, run_name
from bakeoff.schema.record import Record

_MOST_VERDICTS = 6


@dataclass(frozen=True)
class Verdict:
    text: str
    tone: Tone


@dataclass(frozen=True)
class Failure:
    name: str
    run_id: str
    status: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class View:
    study: str
    facts: list[tuple[str, str]]
    verdicts: list[Verdict]
    warnings: list[str]
    rows: list[Row]
    results: Table | None
    frameworks: list[FrameworksPart]
    strategies: list[StrategiesPart]
    filters: Table | None
    format_sentences: list[str]
    statistics: Table | None
    pairs: Table | None
    pairs_left_out: bool
    seeds: Table | None
    train_settings: list[tuple[str, Table]]
    eval_settings: list[tuple[str, Table]]
    data: Table | None
    costs: Table | None
    speed: Table | None
    examples: list[Example]
    failures: list[Failure]
    not_run: list[str]
    provenance: Table | None
    command: str | None
    recipe_text: str | None
    overrides: list[str]


def make_view(  # noqa: PLR0913 - the last five are facts of the study, none of them needed
    study: str,
    records: Sequence[Record],
    runs_dir: Path,
    *,
    recipe_text: str | None = None,
    overrides: Sequence[str] = (),
    plan: Plan | None = None,
    command_line: Sequence[str] | None = None,
    voice: Voice = ENGLISH,
) -> View:
    """Of the records of one study. Raises UserError if answers are missing on disk."""
    samples = load_all_samples(records, runs_dir)
    rows = study_rows(records, samples)
    names = name_runs(records)
    groups = seed_groups(rows, samples)
    pairs = trained_pairs(records, samples)
    sides = side_by_side(records, samples)
    trainings = [r for r in records if r.kind == "train" and r.status == "finished"]
    evals = [r for r in records if r.kind == "eval" and r.status == "finished"]
    return View(
        study=study,
        facts=list(_facts(records, rows)),
        verdicts=[*_verdicts(rows, groups, voice), *_framework_verdicts(sides)],
        warnings=list(_warnings(records, rows, names)),
        rows=rows,
        results=results.results_table(rows) if rows else None,
        frameworks=frameworks_parts(sides, voice),
        strategies=strategies_parts(compare_strategies(records)),
        filters=results.filters_table(rows),
        format_sentences=results.format_sentences(format_shares(rows)),
        statistics=results.statistics_table(rows),
        pairs=results.pairs_table(pairs),
        pairs_left_out=not pairs and len({row.train_run_id for row in rows}) - 1 > MOST_MODELS,
        seeds=results.seeds_table(groups),
        train_settings=settings.settings_tables(without_repeats(trainings), names),
        eval_settings=settings.settings_tables(evals, names),
        data=settings.data_table(without_repeats(records), names),
        costs=costs.costs_table(records, names),
        speed=costs.speed_table(records, names),
        examples=pick_examples(rows, samples),
        failures=[_failure(r, names[r.run_id]) for r in records if r.status != "finished"],
        not_run=_not_run(plan, records),
        provenance=settings.provenance_table(records) if records else None,
        command=_command(command_line or _first_command_line(records)),
        recipe_text=recipe_text,
        overrides=list(overrides),
    )


def _facts(records: Sequence[Record], rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """The line under the title."""
    yield "Model", ", ".join(dict.fromkeys(r.provenance.model_source for r in records))
    if rows:
        yield "Task", ", ".join(dict.fromkeys(row.task for row in rows))
        yield "Questions", ", ".join(dict.fromkeys(numbers.count(row.num_items) for row in rows))
    yield "Trainings", str(sum(record.kind == "train" for record in records))
    yield "Hardware", ", ".join(dict.fromkeys(_device(record) for record in records))
    ended = max((record.provenance.ended_at for record in records), default="")
    yield "Finished", f"{ended[:16].replace('T', ' ')} UTC"


def _device(record: Record) -> str:
    """A run that died early could not say what it ran on."""
    hardware = record.provenance.hardware
    gpus = ", ".join(map(str, hardware.get("gpus") or []))
    return gpus or ("CPU" if hardware else numbers.MISSING)


def _verdicts(rows: Sequence[Row], groups: Sequence[SeedGroup], voice: Voice) -> Iterator[Verdict]:
    tested = [row for row in rows if row.is_headline and row.difference]
    shots = results.several([row.num_fewshot for row in tested])
    for group in groups:
        named = group.model_copy(update={"name": voice.name(group.name)})
        text = seeds_sentence(named, language=voice.language)
        tone = _group_tone(group)
        yield Verdict(f"{group.num_fewshot}-shot: {text}" if shots else text, tone)
    tested = [row for row in tested if not is_grouped(rows, row)]
    if len(tested) > _MOST_VERDICTS:
        yield _summary(tested, whose="models trained once" if groups else "trained models")
        tested = sorted(tested, key=lambda row: -row.accuracy)[:3]
    for row in tested:
        text = _verdict_text(row, rows, voice)
        tone = results.tone_of(row.difference.difference, row.p_adjusted) if row.difference else ""
        yield Verdict(f"{row.num_fewshot}-shot: {text}" if shots else text, tone)


def _framework_verdicts(sides: Sequence[SideBySide]) -> Iterator[Verdict]:
    """Of one cell; several have their places in the section."""
    if len(sides) == 1:
        yield from (Verdict(line, "") for line in summary(sides[0]))


def _group_tone(group: SeedGroup) -> Tone:
    if group.interval is None or group.interval.low <= 0 <= group.interval.high:
        return "unsure"
    return "good" if group.interval.low > 0 else "bad"


def _summary(tested: Sequence[Row], *, whose: str) -> Verdict:
    tones = [results.tone_of(r.difference.difference, r.p_adjusted) for r in tested if r.difference]
    good, bad = tones.count("good"), tones.count("bad")
    text = (
        f"Of {len(tested)} evaluations of {whose} {good} are better than the base model, "
        f"{bad} worse, and {len(tested) - good - bad} may differ by chance alone "
        f"(Holm-adjusted p < {ALPHA}). The three that scored highest follow; the best of many is "
        "partly the luckiest, so check it on new questions."
    )
    return Verdict(text, "")


def _verdict_text(row: Row, rows: Sequence[Row], voice: Voice) -> str:
    base = next(r for r in rows if r.run_id == row.baseline_run_id)
    assert row.difference is not None  # noqa: S101 - only tested rows come here
    return verdict(
        row.difference,
        names=(voice.name(row.name), voice.name(named_in_text(base.name))),
        p_adjusted=row.p_adjusted,
        num_tests=num_tests(rows, is_headline=True),
        num_seeds=num_seeds(rows, row),
        language=voice.language,
    )


def _warnings(
    records: Sequence[Record], rows: Sequence[Row], names: dict[str, str]
) -> Iterator[str]:
    overlapping = max((r.data.num_overlapping or 0 for r in records if r.data), default=0)
    if overlapping:
        yield (
            f"{overlapping} test questions stand in the training split, because the recipe sets "
            "`data.allow_overlap`. The trained models may have learned their answers by heart: the "
            "scores do not tell how they do on new questions."
        )
    if rows and not any(row.is_base for row in rows):
        yield "The base model was not evaluated, so there is nothing to hold the scores against."
    reasons = {reason: None for row in rows if any(r.is_base for r in rows) for reason in row.notes}
    yield from reasons
    told: dict[str, list[str]] = {}
    for record in records:
        for text in record.warnings:
            told.setdefault(text, []).append(_run_label(record, names))
    for text, labels in told.items():
        who = list(dict.fromkeys(labels))  # a training and its repetitions are called alike
        shown = "; ".join(who[:3]) + (f" and {len(who) - 3} more" if len(who) > 3 else "")
        yield f"{text} ({shown})"


def _run_label(record: Record, names: dict[str, str]) -> str:
    name = names[record.run_id]
    return f"{name}, {settings.shots(record)}" if record.kind == "eval" else f"{name}, training"


def _failure(record: Record, name: str) -> Failure:
    what = "training" if record.kind == "train" else "evaluation"
    return Failure(
        name=f"{name}, {what}",
        run_id=record.run_id,
        status=record.status.replace("_", " "),
        reason=(record.error or "no reason was recorded").strip(),
    )


def _not_run(plan: Plan | None, records: Sequence[Record]) -> list[str]:
    done = {record.run_id for record in records}
    steps = plan.steps if plan else ()
    planned = [run_name(step) for step in steps if isinstance(step, TrainPlan | EvalPlan)]
    return [run_id for run_id in planned if run_id not in done]


def _first_command_line(records: Sequence[Record]) -> Sequence[str]:
    lines = [record.provenance.command_line for record in records if not is_base(record)]
    lines = lines or [record.provenance.command_line for record in records]
    return lines[0] if lines else ()


def _command(words: Sequence[str]) -> str | None:
    return " ".join(_quoted(word) for word in words) or None


def _quoted(word: str) -> str:
    """Double quotes work in a POSIX shell, in PowerShell and in cmd."""
    return f'"{word}"' if not word or any(c in word for c in " '[]{}*?&|;<>()") else word
