"""A study's rows as its trainings see them: what is learned, how long they are, what is wrong."""

import json
import threading
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response

from bakeoff.base.errors import UserError
from bakeoff.base.files import read_json
from bakeoff.base.hub import say_nothing
from bakeoff.dashboard import figures
from bakeoff.dashboard.pages.asking import Shown, known_study, missing
from bakeoff.dashboard.render import View
from bakeoff.dashboard.rows_file import Kept
from bakeoff.data.inspection.check import CheckSettings, check_rows
from bakeoff.data.inspection.look import histogram
from bakeoff.data.inspection.tokens import estimated_tokens, load_tokenizer
from bakeoff.models import locate
from bakeoff.report.curves import length_chart
from bakeoff.runner.data_subject import make_subject
from bakeoff.schema.data_check import DataCheck
from bakeoff.schema.plan import DataStep, ModelStep, TrainPlan
from bakeoff.schema.results import DataManifest
from bakeoff.schema.study import Study

router = APIRouter()
SPLITS = ("train", "validation", "test")
_PAGE = 20
_MOST_COUNTED = 50_000
_checking = threading.Lock()


def _note(_: bytes) -> None:
    """Nothing but the places of the rows is kept."""


_files = Kept(_note)


class Prepared(NamedTuple):
    """Rows on disk."""

    step: DataStep
    folder: Path
    manifest: DataManifest | None
    """None: they are not here (any more)."""


@router.get("/studies/{name}/data")
def data(
    view: Shown,
    name: str,
    step: str = "",
    split: str = "train",
    words: Annotated[str, Query(max_length=200)] = "",
    page: Annotated[int, Query(ge=1)] = 1,
) -> HTMLResponse:
    study, prepared = _prepared(view, name)
    here = next((one for one in prepared if one.step.id == step), prepared[0])
    split = split if split in SPLITS else "train"
    rows, total = _rows(here, split, words, page) if here.manifest else ([], 0)
    return view.show(
        "data.html",
        name=name,
        study=study,
        prepared=prepared,
        chosen=here,
        split=split,
        splits=SPLITS,
        rows=rows,
        total=total,
        page=page,
        num_pages=max(1, -(-total // _PAGE)),
        words_asked=words,
        learns_all=_learns_all(study, here.step),
    )


def _prepared(view: View, name: str) -> tuple[Study, list[Prepared]]:
    if not known_study(view, name):
        raise missing(name)
    study = view.site.store.study(name)
    workspace = view.site.workspace_of_study(study)
    found = []
    for step in study.plan.steps:
        if isinstance(step, DataStep):
            folder = workspace.data_dir(step.id)
            path = folder / "manifest.json"
            manifest = DataManifest.model_validate(read_json(path)) if path.is_file() else None
            found.append(Prepared(step, folder, manifest))
    if not found:
        raise missing(f"{name}: data")
    return study, found


def _rows(
    here: Prepared, split: str, words: str, page: int
) -> tuple[list[tuple[int, dict[str, Any]]], int]:
    """Those of one page with their numbers, and how many fit the words."""
    path = here.folder / f"{split}.jsonl"
    if not path.is_file():
        return [], 0
    rows = _files.of(path)
    wanted = list(range(len(rows)))
    if words.strip():
        needles = [json.dumps(w, ensure_ascii=False)[1:-1].lower() for w in words.split()]
        lines = enumerate(rows.lines(wanted))
        wanted = [
            i
            for i, line in lines
            if all(needle in line.decode("utf-8", "replace").lower() for needle in needles)
        ]
    shown = wanted[(page - 1) * _PAGE : page * _PAGE]
    return [(i, json.loads(line)) for i, line in zip(shown, rows.lines(shown), strict=True)], len(
        wanted
    )


def _learns_all(study: Study, step: DataStep) -> bool:
    trainings = [s for s in study.plan.steps if isinstance(s, TrainPlan) and s.data_id == step.id]
    return any(training.train.loss_on == "all" for training in trainings)


@router.get("/studies/{name}/data/lengths.json")
def lengths(view: Shown, name: str, step: str = "", split: str = "train") -> Response:
    """How long the rows are, by the model's tokenizer where it is here."""
    study, prepared = _prepared(view, name)
    here = next((one for one in prepared if one.step.id == step), prepared[0])
    path = here.folder / f"{split if split in SPLITS else 'train'}.jsonl"
    if not path.is_file():
        return Response(status_code=204)
    counted = _lengths(path, path.stat().st_mtime_ns, _model_dir(view, study))
    from array import array  # noqa: PLC0415 - beside its only use

    limits = [s.train.max_length for s in study.plan.steps if isinstance(s, TrainPlan)]
    unit = "tokens" if _model_dir(view, study) else "estimated tokens"
    chart = length_chart(histogram(array("l", counted)), unit, max(limits, default=10**9))
    return figures.answer(chart, view.words)


def _model_dir(view: View, study: Study) -> Path | None:
    workspace = view.site.workspace_of_study(study)
    base_dir = Path(study.recipe_path).resolve().parent
    for step in study.plan.steps:
        if isinstance(step, ModelStep):
            return locate(step.model, base_dir=base_dir, cache_dir=workspace.cache_dir)
    return None


@lru_cache(maxsize=16)
def _lengths(path: Path, _stamp: int, model_dir: Path | None) -> tuple[int, ...]:
    tokenizer = load_tokenizer(model_dir)
    rows = _files.of(path)
    found = []
    for line in rows.lines(list(range(min(len(rows), _MOST_COUNTED)))):
        texts = [str(part["text"]) for part in json.loads(line)["segments"]]
        if tokenizer is None:
            found.append(sum(map(estimated_tokens, texts)))
        else:
            found.append(sum(map(len, tokenizer.ids(texts))) + 1)
    return tuple(found)


@router.get("/studies/{name}/data/check")
def check(view: Shown, name: str) -> HTMLResponse:
    """What `bakeoff data check` says of the recipe's data; asked for by a button."""
    study, _ = _prepared(view, name)
    try:
        with _checking:
            found = _check(view, study)
    except UserError as error:
        return view.show("mistake.html", error=error)
    return view.show("data_check.html", found=found)


def _check(view: View, study: Study) -> DataCheck:
    recipe_path = Path(study.recipe_path)
    if not recipe_path.is_absolute():
        recipe_path = view.site.working_dir / recipe_path
    workspace = view.site.workspace_of_study(study)
    subject = make_subject(str(recipe_path), study.overrides, None, workspace)
    recipe = subject.recipe
    settings = CheckSettings(
        source=recipe.data.source,
        prompt=recipe.prompt,
        chat=subject.chat,
        max_length=recipe.train.max_length,
        overlong=recipe.train.overlong,
        allow_overlap=recipe.data.allow_overlap,
        wants_pattern=True,
        tokenizer_dir=subject.model_dir,
    )
    return check_rows(subject.opened, settings, report=say_nothing)
