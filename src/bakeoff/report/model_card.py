"""The page that goes with an exported model, of what its record holds."""

from bakeoff.compare.names import backend_title, method_title
from bakeoff.compare.numbers import percent
from bakeoff.models.card import licence_of
from bakeoff.runner.use_model import TrainedModel
from bakeoff.schema.plan import DataStep, TrainPlan, run_name
from bakeoff.schema.record import Record, Score
from bakeoff.schema.study import Study
from bakeoff.store.runs import Store

_SETTINGS = (
    "learning_rate", "num_epochs", "max_steps", "rows_per_step", "max_length", "scheduler",
    "precision", "seed", "lora_rank", "lora_alpha", "lora_target_modules", "lora_use_rslora",
    "lora_use_dora",
)  # fmt: skip


def model_card(model: TrainedModel, store: Store, form: str, note: str = "") -> str:
    """Markdown with a head that hubs read.

    Args:
        model: What was exported.
        store: Holds its run, the evaluations of its model and of the untouched one.
        form: Of the weights.
        note: How to go on.
    """
    record = store.find(model.run_id)
    studies = [store.study(name) for name in store.lists.studies_of(model.run_id)]
    licence = licence_of(model.model_dir)
    made = record.provenance
    base = made.model_source + (f" ({made.model_revision})" if made.model_revision else "")
    method = str(record.effective.get("method") or record.cell.get("method", "unknown"))
    how = f"{method_title(method)} with {_trainer(record)}"
    parts = [
        _head(record, licence),
        f"# {model.run_id}\n",
        f"{base}, tuned: {how}. Weights in {form}, whole: no adapter is needed.\n",
        note,
        f"- **Licence of the base model**: {licence or 'not stated with it; look it up'}.",
        f"- **Data**: {_data(record, studies)}",
        f"- **Settings**: {_settings(record)}.",
        f"- **Made** by bakeoff {made.bakeoff_version}, {made.ended_at[:10]}.",
        "",
        *_scores(record, store, studies),
        *_asked(model),
    ]
    return "\n".join(parts) + "\n"


def _head(record: Record, licence: str | None) -> str:
    """Only what hubs know: an id there and a licence's short name."""
    source = record.provenance.model_source
    lines = ["---"]
    if "/" in source and not source.startswith(("/", ".", "~")) and source.count("/") == 1:
        lines.append(f"base_model: {source}")
    if licence is not None and " " not in licence:
        lines.append(f"license: {licence}")
    return "\n".join([*lines, "pipeline_tag: text-generation", "tags: [bakeoff]", "---", ""])


def _trainer(record: Record) -> str:
    title = backend_title(str(record.cell.get("backend", "builtin")))
    return f"the {title}" if title.startswith("built-in") else title


def _data(record: Record, studies: list[Study]) -> str:
    named = {
        step.data.source + (f" ({step.data.subset})" if step.data.subset else "")
        for study in studies
        for step in study.plan.steps
        if isinstance(step, DataStep) and step.id in _data_ids(record, study)
    }
    facts = record.data
    if facts is None:
        return f"{', '.join(sorted(named)) or 'unknown'}."
    tokens = (
        "" if facts.num_label_tokens is None else f", {facts.num_label_tokens:,} tokens learned"
    )
    return f"{', '.join(sorted(named))}: {facts.num_examples:,} rows{tokens}; {facts.digest[:12]}."


def _data_ids(record: Record, study: Study) -> set[str]:
    steps = [step for step in study.plan.steps if isinstance(step, TrainPlan)]
    return {step.data_id for step in steps if run_name(step) == record.run_id}


def _settings(record: Record) -> str:
    told = {name: record.effective.get(name) for name in _SETTINGS}
    return ", ".join(
        f"{name.removeprefix('lora_').replace('_', ' ')} {value}"
        for name, value in told.items()
        if value is not None and value is not False
    )


def _scores(record: Record, store: Store, studies: list[Study]) -> list[str]:
    ids = [run.run_id for run in store.lists.children_of([record.run_id])]
    tuned = [one for one in store.records_of(ids) if one.repeat_of is None]
    if not tuned:
        return ["No score was measured.", ""]
    around = [one for study in studies for one in store.study_records(study.name)]
    bases = [
        one
        for one in around
        if one.kind == "eval"
        and one.parent_run_id is None
        and one.provenance.model_digest == record.provenance.model_digest
    ]
    untouched = {_key(one, s): s for one in bases for s in one.scores}
    rows = [
        f"| {s.task} | {s.num_fewshot} | {s.metric}, {s.filter} | {_value(s)} "
        f"| {_value(untouched.get(_key(one, s)))} | {s.num_samples:,} |"
        for one in tuned
        for s in one.scores
    ]
    head = "| task | shots | metric, filter | this model | base model | questions |"
    return [head, "| --- | --- | --- | --- | --- | --- |", *rows, "",
            "Scores ± their standard error, measured before the export.", ""]  # fmt: skip


def _key(record: Record, score: Score) -> tuple[object, ...]:
    digest = record.provenance.data_digest
    return score.task, score.num_fewshot, score.metric, score.filter, score.num_samples, digest


def _value(score: Score | None) -> str:
    if score is None:
        return ""
    error = "" if score.stderr is None else f" ± {percent(score.stderr)}"
    return f"{percent(score.value)}{error}"


def _asked(model: TrainedModel) -> list[str]:
    if model.prompt.template == "chat":
        how = "in the base model's own chat template"
    elif model.prompt.is_raw:
        how = "in plain text"
    else:
        how = "in a chat template of the recipe"
    lines = [
        f"It was trained {how}, which is the chat template here: put questions to it as chats."
    ]
    if model.prompt.is_raw:
        text = model.prompt.text.replace("\n", "\n    ")
        lines.append(f"Each is asked alone, in this form:\n\n    {text}")
    if model.prompt.system is not None:
        lines.append(f"System message: {model.prompt.system}")
    return lines
