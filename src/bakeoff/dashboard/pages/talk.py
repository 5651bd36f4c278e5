"""Talking with what a training made, the untouched model beside it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from pydantic import TypeAdapter, ValidationError

from bakeoff.base.errors import RunError, UserError
from bakeoff.dashboard.examples import unseen_question
from bakeoff.dashboard.jobs import Jobs
from bakeoff.dashboard.pages.asking import Shown, missing
from bakeoff.dashboard.pages.run import name_of_run, run_folder
from bakeoff.dashboard.render import View
from bakeoff.runner.talk import Question, Talking, Turn
from bakeoff.runner.use_model import TrainedModel, trained_model
from bakeoff.schema.study import Study
from bakeoff.store.lists import Asked

router = APIRouter()
LONGEST_QUESTION = 20_000
LONGEST_ANSWER = 4096
_EVERY_SECONDS = 0.05
_MOST_STUDIES = 20
_turns = TypeAdapter(tuple[Turn, ...])


@router.get("/runs/{run_id}/talk")
def talk(view: Shown, run_id: str) -> HTMLResponse:
    model, study = _model(view, run_id)
    record = view.site.store.record(model.run_id)
    assert record is not None, model.run_id  # noqa: S101 - the model was found by it
    return view.show(
        "talk.html",
        model=model,
        run_id=model.run_id,
        name=name_of_run(view, record),
        base=record.provenance.model_source,
        studies=view.site.store.lists.studies_of(model.run_id),
        has_examples=_example(view, model, study, 0) is not None,
        busy=_busy(view),
        longest_question=LONGEST_QUESTION,
        longest_answer=LONGEST_ANSWER,
    )


def _model(view: View, run_id: str) -> tuple[TrainedModel, Study | None]:
    """Of a training or of an evaluation of one, and a study that holds it."""
    run_folder(view, run_id)
    model = trained_model(view.site.store, run_id)
    studies = view.site.store.lists.studies_of(model.run_id)
    return model, view.site.store.study(studies[0]) if studies else None


def _busy(view: View) -> list[str]:
    """Which of the newest studies are being run, and so will share the machine."""
    store = view.site.store
    jobs = Jobs(view.site)
    newest = store.lists.studies(Asked(size=_MOST_STUDIES)).rows
    return [found.name for found in newest if found.num_left and jobs.running(found.name)]


def _example(
    view: View, model: TrainedModel, study: Study | None, number: int
) -> Mapping[str, Any] | None:
    if study is None:
        return None
    return unseen_question(view.site.workspace_of_study(study), study, model.run_id, number)


@router.get("/runs/{run_id}/talk/example.json")
def example(view: Shown, run_id: str, number: Annotated[int, Query(ge=0)] = 0) -> Response:
    """A question of the test split with what is expected; they begin anew after the last."""
    found = _example(view, *_model(view, run_id), number)
    if found is None:
        raise missing("test.jsonl")
    return Response(json.dumps(found, ensure_ascii=False), media_type="application/json")


@router.post("/runs/{run_id}/talk/ask")
def ask(
    view: Shown,
    run_id: str,
    question: Annotated[str, Form(min_length=1, max_length=LONGEST_QUESTION)],
    max_new_tokens: Annotated[int, Form(ge=1, le=LONGEST_ANSWER)] = 256,
    temperature: Annotated[float, Form(ge=0, le=10)] = 0.0,
    seed: Annotated[int, Form(ge=0, le=2**31)] = 0,
    earlier: Annotated[str, Form()] = "[]",
) -> StreamingResponse:
    """Both answers, a line of JSON for each piece of one as it comes."""
    try:
        model, study = _model(view, run_id)
        asked = Question(
            question=question,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=seed,
            earlier=() if model.prompt.is_raw else _turns.validate_json(earlier),
        )
        workspace = view.site.workspace_of_study(study)
        talking, number = view.site.talks.ask(model, workspace, asked)
    except (UserError, ValidationError) as error:
        return _lines(_refused(view, error))
    return _lines(_told(view, talking, number))


def _lines(told: AsyncIterator[Mapping[str, Any]]) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        async for what in told:
            yield json.dumps(what, ensure_ascii=False) + "\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


async def _refused(view: View, error: UserError | ValidationError) -> AsyncIterator[dict[str, Any]]:
    hint = error.hint if isinstance(error, UserError) else None
    parts = [view.words.core(part) for part in (str(error), hint) if part]
    yield {"error": "\n".join(parts)}


async def _told(view: View, talking: Talking, number: int) -> AsyncIterator[dict[str, Any]]:
    """In the words of the page; whoever stops listening stops the answers."""
    pieces = talking.told(number)
    loading = view.words("Loading the models … (a minute for large ones)")
    state = "" if talking.is_loaded else loading
    yield {"number": number, "state": state or view.words("Reading the question …")}
    try:
        while not view.site.closing.is_set():
            piece = await to_thread.run_sync(next, pieces, _END)
            if piece is _END:
                break
            if piece is not None:
                yield _in_words(view, piece)
                continue
            if state and talking.is_loaded:
                state = ""
                yield {"state": view.words("Reading the question …")}
            await asyncio.sleep(_EVERY_SECONDS)
    except RunError as error:
        yield {"error": view.words.core(str(error)), "log": error.log_tail}
    finally:
        talking.stop(number)


_END: Mapping[str, Any] = {}


def _in_words(view: View, piece: Mapping[str, Any]) -> dict[str, Any]:
    """Only what went wrong is a sentence; why an answer ended the page says itself."""
    return {"error": view.words.core(piece["error"])} if "error" in piece else dict(piece)


@router.post("/runs/{run_id}/talk/stop")
def stop(view: Shown, run_id: str, number: Annotated[int, Form(ge=1)]) -> Response:
    """Give the answers of a question up."""
    run_folder(view, run_id)
    view.site.talks.stop(trained_model(view.site.store, run_id).run_id, number)
    return Response(status_code=204)
