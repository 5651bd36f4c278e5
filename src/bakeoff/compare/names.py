"""What a person calls a run: only what tells it from its neighbours."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bakeoff.schema.plan import AxisValue
from bakeoff.schema.record import Record

_METHODS = {
    "lora": "LoRA",
    "full": "full fine-tuning",
    "qlora": "QLoRA",
    "freeze": "last layers only",
}
BUILTIN = "builtin"
_BACKENDS = {BUILTIN: "built-in trainer", "llamafactory": "LLaMA-Factory", "swift": "ms-swift"}
_LEADING = ("model", "method", "backend", "strategy", "world_size")
_PLAIN = frozenset({"model", "method", "backend", "strategy"})
"""Axes whose value speaks for itself; any other is written `axis value`."""

_EVALUATION_SETTINGS = (
    "asked_as", "max_new_tokens", "precision", "dtype", "engine", "limit", "batch_size",
)  # fmt: skip
"""Of an evaluation, what changes its answers most first."""

_COMMIT_LENGTH = 40
BASE = "base model"


def is_base(record: Record) -> bool:
    """Whether an evaluation scored the untouched model."""
    is_alone = record.parent_run_id is None and "adapter" not in record.cell
    return record.kind == "eval" and is_alone


def name_runs(records: Iterable[Record]) -> dict[str, str]:
    """A name for each run id; a training and the evaluations of its model share one.

    Equal cells (of two studies, say) are told apart by the end of the training's id, evaluations of
    one model by the settings that differ between them.
    """
    records = list({record.run_id: record for record in records}.values())
    models = _model_keys(records)
    bases = _name_bases(records, models)
    trained = _name_trained(records)
    names = {
        record.run_id: bases[models[record.run_id]]
        if is_base(record)
        else trained[_training_id(record)]
        for record in records
    }
    for twins in _asked_alike(records, names):
        for record, ending in zip(twins, _endings(twins), strict=True):
            names[record.run_id] += ending
    return names


def _training_id(record: Record) -> str:
    return record.repeat_of or record.parent_run_id or record.run_id


def _model_keys(records: Sequence[Record]) -> dict[str, str]:
    """What identifies the untouched model of each run: its digest, else where it came from."""
    digests = {
        record.provenance.model_source: record.provenance.model_digest
        for record in records
        if record.provenance.model_digest
    }
    return {
        record.run_id: record.provenance.model_digest
        or digests.get(record.provenance.model_source)
        or record.provenance.model_source
        for record in records
    }


def _name_bases(records: Sequence[Record], models: Mapping[str, str]) -> dict[str, str]:
    """By model key: a single model needs no more words, several get what tells them apart."""
    known = {models[record.run_id]: record.provenance for record in reversed(records)}
    sources = Counter(found.model_source for found in known.values())
    revisions = Counter((found.model_source, found.model_revision) for found in known.values())
    names = {}
    for key, found in known.items():
        words = [BASE] if len(sources) == 1 else [BASE, found.model_source]
        if sources[found.model_source] > 1:
            told = revisions[found.model_source, found.model_revision] == 1
            words.append(_version(found.model_revision if told else None, key))
        names[key] = " ".join(words)
    return names


def _version(revision: str | None, digest: str) -> str:
    if revision is None:
        return f"digest {digest[:8]}"
    is_commit = len(revision) == _COMMIT_LENGTH
    return f"revision {revision[:12] if is_commit else revision}"


def _name_trained(records: Sequence[Record]) -> dict[str, str]:
    """By training id."""
    cells = {
        _training_id(record): _without_evaluation(record.cell)
        for record in records
        if not is_base(record)
    }
    axes = varying_axes(list(cells.values()))
    named = {run_id: name_cell(cell, axes) for run_id, cell in cells.items()}
    times = Counter(named.values())
    return {
        run_id: f"{name} ({run_id[-6:]})" if times[name] > 1 else name
        for run_id, name in named.items()
    }


def _without_evaluation(cell: Mapping[str, AxisValue]) -> dict[str, AxisValue]:
    """A model is trained once, however many ways it is evaluated."""
    return {axis: value for axis, value in cell.items() if not axis.startswith("evaluate.")}


def _asked_alike(records: Sequence[Record], names: Mapping[str, str]) -> list[list[Record]]:
    """Evaluations of one name, task and number of examples, where there are several."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.kind == "eval":
            groups.setdefault(repr((names[record.run_id], _asked(record))), []).append(record)
    return [group for group in groups.values() if len(group) > 1]


def _asked(record: Record) -> list[tuple[str | None, int | None]]:
    settings = _settings(record)
    asked = {(score.task, score.num_fewshot) for score in record.scores}
    return sorted(asked) or [(settings.get("task"), settings.get("num_fewshot"))]


def _endings(twins: Sequence[Record]) -> list[str]:
    """As few settings as tell the evaluations apart, else the end of their ids."""
    settings = [_settings(record) for record in twins]
    endings = [""] * len(twins)
    for key in _EVALUATION_SETTINGS:
        texts = [_setting_text(key, found) for found in settings]
        if len(set(texts)) > 1 and len(set(endings)) < len(twins):
            endings = [ending + text for ending, text in zip(endings, texts, strict=True)]
    times = Counter(endings)
    return [
        f"{ending} ({record.run_id[-6:]})" if times[ending] > 1 else ending
        for ending, record in zip(endings, twins, strict=True)
    ]


def _settings(record: Record) -> dict[str, Any]:
    """Really used; of a run that did not finish, what was asked of it."""
    engines = sorted({score.engine for score in record.scores})
    settings = dict(record.effective.get("asked", record.effective))
    return {**settings, "engine": ", ".join(engines)} if engines else settings


def _setting_text(key: str, settings: Mapping[str, Any]) -> str:
    if key not in settings:
        return ""
    value = settings[key]
    return f", no {key}" if value is None else f", {key} {value}"


def named_in_text(name: str) -> str:
    """With the article that English wants in the middle of a sentence."""
    return f"the {name}" if name.startswith(BASE) else name


def varying_axes(cells: Sequence[Mapping[str, AxisValue]]) -> tuple[str, ...]:
    """Axes with more than one value, the best known first, the seed last."""
    known = dict.fromkeys(axis for cell in cells for axis in cell)
    varying = [axis for axis in known if len({repr(cell.get(axis)) for cell in cells}) > 1]
    leading = [axis for axis in _LEADING if axis in varying]
    others = [axis for axis in varying if axis not in (*_LEADING, "seed")]
    return (*leading, *others, *(["seed"] if "seed" in varying else []))


def name_cell(cell: Mapping[str, AxisValue], axes: Sequence[str]) -> str:
    """`LoRA, ms-swift, learning_rate 0.001, seed 1`: the method, then what varies."""
    wanted = [axis for axis in axes if axis in cell]
    if "method" in cell and "method" not in wanted:
        wanted.insert(0, "method")
    return ", ".join(_name_value(axis, cell[axis]) for axis in wanted) or "trained model"


def _name_value(axis: str, value: AxisValue) -> str:
    if axis == "method":
        return _METHODS.get(str(value), str(value))
    if axis == "backend":
        return backend_title(str(value))
    if axis in _PLAIN:
        return str(value)
    return f"{axis.rpartition('.')[2]} {value}"


def backend_title(backend: str) -> str:
    """As its authors write it; its name in recipes where that is not known here."""
    return _BACKENDS.get(backend, backend)


def method_title(method: str) -> str:
    """As people write it; its name in recipes where that is not known here."""
    return _METHODS.get(method, method)
