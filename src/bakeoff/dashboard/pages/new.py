"""Starting a study: a preset, a form and its text, the plan, go."""

import re
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, Response

from bakeoff.base.errors import UserError
from bakeoff.dashboard import drafts
from bakeoff.dashboard.jobs import Jobs
from bakeoff.dashboard.pages.asking import Shown, known_study, missing
from bakeoff.dashboard.render import View
from bakeoff.dashboard.words import Language

router = APIRouter()
_CHINESE = re.compile(r"(?:在 AutoDL |[\u4e00-\u9fff]).*")
Text = Annotated[str, Form(max_length=drafts.MOST_CHARACTERS)]


@router.get("/new")
def new(view: Shown, preset: str = "", study: str = "") -> HTMLResponse:
    """From a preset, or from a study's recipe."""
    presets = {
        path.stem: _about(path.read_text(encoding="utf-8"), view.words.language)
        for path in sorted(view.site.presets.glob("*.yaml"))
    }
    if study:
        if not known_study(view, study):
            raise missing(study)
        text = view.site.store.study(study).recipe_text
    elif preset:
        if preset not in presets:
            raise missing(preset)
        text = (view.site.presets / f"{preset}.yaml").read_text(encoding="utf-8")
    else:
        return view.show("presets.html", presets=presets)
    return view.show(
        "new.html", text=text, form=drafts.FORM, values=drafts.form_values(text),
        preset=preset, study=study, presets=presets, plan=None, error=None, started=False,
    )  # fmt: skip


def _about(text: str, language: Language) -> str:
    """The recipe's first comment; where it stands in both languages, in the person's own."""
    line = text.splitlines()[0].lstrip("# ")
    chinese = _CHINESE.search(line)
    if chinese is None:
        return line
    return chinese.group() if language == "zh" else line[: chinese.start()].rstrip()


@router.post("/new/check")
def check(view: Shown, text: Text) -> HTMLResponse:
    return _checked(view, text, with_text=False)


@router.post("/new/set")
def set_value(
    view: Shown, text: Text, key: Annotated[str, Form()], value: Text = ""
) -> HTMLResponse:
    """A field of the form was changed: the text follows."""
    if key not in {field.key for field in drafts.FORM}:
        raise missing(key)
    try:
        text = drafts.set_value(text, key, value)
    except UserError as error:
        return view.show("checked.html", plan=None, error=error, text=None, form=(), values={})
    return _checked(view, text, with_text=True)


def _checked(view: View, text: str, *, with_text: bool) -> HTMLResponse:
    plan, mistake = None, None
    try:
        plan = drafts.check(view.site, text)
    except UserError as error:
        mistake = error
    return view.show(
        "checked.html",
        plan=plan,
        error=mistake,
        text=text if with_text else None,
        form=() if with_text else drafts.FORM,
        values={} if with_text else drafts.form_values(text),
    )


@router.post("/new/run")
def run(view: Shown, text: Text) -> Response:
    """Start it: a process of its own does the rest."""
    try:
        name, recipe = drafts.keep(view.site, text)
        Jobs(view.site).start(name, recipe, (), force=False)
    except UserError as error:
        return view.show("checked.html", plan=None, error=error, text=None, form=(), values={})
    return Response(status_code=204, headers={"hx-redirect": f"/studies/{name}"})
