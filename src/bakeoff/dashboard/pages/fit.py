"""Will it fit? A form, and the answer at once."""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse, Response

from bakeoff.base.errors import UserError
from bakeoff.base.files import write_json_atomic
from bakeoff.dashboard import figures
from bakeoff.dashboard.pages.asking import Shown
from bakeoff.dashboard.render import View
from bakeoff.predict.gpus import GPUS
from bakeoff.predict.known_models import KNOWN
from bakeoff.predict.parts import PART_TITLES
from bakeoff.report.curves import parts_chart
from bakeoff.runner.fit import Fitter, Options
from bakeoff.runner.fit_inputs import device_asked
from bakeoff.runner.prepare import prepare_study
from bakeoff.schema.prediction import FitReport

router = APIRouter()
METHODS = ("lora", "qlora", "full", "freeze")
TRAINERS = ("builtin", "llamafactory", "swift")
PRECISIONS = ("bf16", "bf16-mixed", "fp32")
Short = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True)
class Asked:
    """The form."""

    model: str
    gpu: str
    memory: str
    method: str
    backend: str
    precision: str
    batch_size: str
    max_length: str
    rank: str
    checkpointing: bool


def asked_of(
    model: Short = "Qwen/Qwen2.5-1.5B",
    gpu: Short = "rtx4060-8gb-laptop",
    memory: Short = "",
    method: Short = "lora",
    backend: Short = "builtin",
    precision: Short = "bf16",
    batch_size: Short = "8",
    max_length: Short = "1024",
    rank: Short = "16",
    checkpointing: bool = False,
) -> Asked:
    """What stands in the form."""
    return Asked(
        model, gpu, memory, method, backend, precision, batch_size, max_length, rank, checkpointing
    )


AskedFit = Annotated[Asked, Depends(asked_of)]


@router.get("/fit")
def fit(view: Shown, asked: AskedFit, part: bool = False) -> HTMLResponse:
    """The whole page, or (`part`) the answer alone."""
    report, mistake = None, None
    try:
        report = _report(view, asked)
    except UserError as error:
        mistake = error
    return view.show(
        "fit_answer.html" if part else "fit.html",
        asked=asked,
        fields=urlencode({key: value for key, value in asdict(asked).items() if value}),
        report=report,
        error=mistake,
        gpus=GPUS,
        models=sorted(KNOWN),
        methods=METHODS,
        trainers=TRAINERS,
        precisions=PRECISIONS,
        titles=PART_TITLES,
    )


@router.get("/fit/changes")
def changes(view: Shown, asked: AskedFit) -> HTMLResponse:
    """What makes it fit: every change is tried, which takes longer than an answer may."""
    return view.show("fit_changes.html", report=_report(view, asked, may_advise=True))


@router.get("/fit/parts.json")
def parts(view: Shown, asked: AskedFit) -> Response:
    """The bars by part of that form."""
    try:
        report = _report(view, asked)
    except UserError:
        return Response(status_code=204)
    runs = [
        (asked.method, [(PART_TITLES[p.name], p.num_bytes) for p in run.prediction.parts])
        for run in report.runs
        if run.prediction is not None
    ]
    return figures.answer(parts_chart(runs), view.words)


def _report(view: View, asked: Asked, *, may_advise: bool = False) -> FitReport:
    """By formulas: nothing is fetched, traced or tokenised.

    Raises:
        UserError: with the field that is wrong.
    """
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "fit.yaml"
        write_json_atomic(path, _recipe(asked))
        workspace = view.site.workspace_of(path, ())
        try:
            study = prepare_study(path, (), cache_dir=workspace.cache_dir)
        except UserError as error:
            raise UserError(str(error).replace(str(path), "form"), hint=error.hint) from error
        device = device_asked(asked.gpu or None, asked.memory.strip() or None)
        options = Options(device=device, may_count=False, may_trace=False, may_advise=may_advise)
        return Fitter(study, workspace, options).report()


def _recipe(asked: Asked) -> dict[str, Any]:
    """JSON is YAML. The rows are GSM8K's: their lengths are known without having them."""
    train: dict[str, Any] = {
        "batch_size": _number(asked.batch_size),
        "max_length": _number(asked.max_length),
        "precision": asked.precision,
        "gradient_checkpointing": asked.checkpointing,
    }
    return {
        "name": "fit",
        "model": asked.model.strip(),
        "data": {"source": "openai/gsm8k", "subset": "main"},
        "method": asked.method,
        "backend": asked.backend,
        "train": train,
        "lora": {"rank": _number(asked.rank)},
    }


def _number(text: str) -> int | str:
    """As the recipe's own check wants it: what is no number is told of there."""
    return int(text) if text.strip().isdigit() else text
