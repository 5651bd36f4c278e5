"""What every engine's model class does with answers: each is kept as soon as it is there.

Goes before one of the harness's model classes. That class answers or scores what is left; here it
is found out what an earlier process kept, and what each answer ended with.
"""

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import jinja2
from lm_eval.models.utils import normalize_gen_kwargs

from bakeoff.worker.events import Events
from bakeoff.worker.failures import JobError
from bakeoff.worker.lm_journal import Journal, request_keys


@dataclass(frozen=True)
class Ending:
    """How one answer ended."""

    num_tokens: int
    """Generated tokens, the end-of-sequence token or the stop string included."""

    hit_limit: bool
    """Neither a stop string nor the end-of-sequence token came before the limit."""

    stop_reason: str = "token_limit"
    """``end_token``, ``stop_string`` or ``token_limit``."""

    seconds: float | None = field(default=None, compare=False)
    """From the reading of the prompt on, with others beside it."""

    num_prompt_tokens: int | None = None


Keep = Callable[[int, str, Ending], None]
"""Is told the number of a request, its answer and how that ended."""

KeepScore = Callable[[int, tuple[float, bool]], None]
"""Is told the number of a request, its log-probability and whether it is the likeliest."""


def template_args(chat_date: str | None) -> dict[str, Any]:
    """In place of a template's function for today's date, which would change the prompts."""
    if chat_date is None:
        return {}
    return {"strftime_now": datetime.fromisoformat(chat_date).replace(tzinfo=UTC).strftime}


class KeptAnswers:
    """Before a model class of the harness; call ``_begin_keeping`` first of all."""

    tok_encode: Callable[[str], list[int]]
    max_gen_toks: int
    tokenizer: Any
    chat_template_args: dict[str, Any]
    """What is handed to a template goes before what transformers lends it."""

    def _begin_keeping(self, events: Events, journal: Journal | None) -> None:
        self._events = events
        self._journal = journal
        self.endings: dict[tuple[str | None, int | None], Ending] = {}
        """By task and position of the item in its split."""

        self.limits_of_new_tokens: set[int] = set()
        """Of the requests."""

        self.stop_strings: list[str] = []
        """What ended an answer, the end-of-sequence token as text included."""

    def apply_chat_template(
        self,
        chat_history: list[dict[str, str]],
        add_generation_prompt: bool = True,  # noqa: FBT001, FBT002 - the harness calls it so
    ) -> str:
        """The harness's own takes the system message out when a template refuses it; this does not.

        Raises:
            JobError: the template fails on these turns.
        """
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    chat_history,
                    tokenize=False,
                    add_generation_prompt=add_generation_prompt,
                    continue_final_message=not add_generation_prompt,
                    **self.chat_template_args,
                )
            )
        except jinja2.TemplateError as error:
            raise JobError(
                f"The chat template fails on a question: {error}. Correct it, or set "
                "`prompt.template: raw`."
            ) from error

    def facts(self) -> dict[str, Any]:
        """How the model was run, for the record."""
        raise NotImplementedError

    def _prepare(self, requests: list[Any], lengths: list[int]) -> None:
        """Before any of the requests, whose prompts have these lengths in tokens, is answered."""

    def _answer_requests(self, requests: list[Any], left: list[int], keep: Keep) -> None:
        """Answer those with the numbers ``left``, telling ``keep`` each."""
        raise NotImplementedError

    def _score_requests(self, requests: list[Any], left: list[int], keep: KeepScore) -> None:
        """Score the continuations of those with the numbers ``left``, likewise."""
        raise NotImplementedError

    def generate_until(self, requests: list[Any], **_: Any) -> list[str]:
        """One answer a request, in the order of the requests."""
        lengths = [len(self.tok_encode(request.args[0])) for request in requests]
        self.limits_of_new_tokens.update(map(self._max_new_tokens, requests))
        self._prepare(requests, lengths)
        answers: dict[int, str] = {}
        keys = request_keys(requests)

        def keep(index: int, text: str, ending: Ending) -> None:
            answers[index] = text
            ending = replace(ending, num_prompt_tokens=lengths[index])
            self.endings.setdefault((requests[index].task_name, requests[index].doc_id), ending)
            self._add(keys[index], [text, asdict(ending)])

        for index, (text, ending) in self._found(keys, "questions"):
            answers[index] = text
            place = requests[index].task_name, requests[index].doc_id
            self.endings.setdefault(place, Ending(**ending))
        left = [index for index in range(len(requests)) if index not in answers]
        self._events.progress(len(answers), len(requests), "questions")
        if left:
            self._answer_requests(requests, left, keep)
        return [answers[index] for index in range(len(requests))]

    def loglikelihood(self, requests: list[Any], **_: Any) -> list[tuple[float, bool]]:
        """Log-probability of each request's continuation, in the order of the requests."""
        keys = request_keys(requests)
        scored = {index: (found[0], found[1]) for index, found in self._found(keys, "choices")}

        def keep(index: int, found: tuple[float, bool]) -> None:
            scored[index] = found
            self._add(keys[index], found)

        left = [index for index in range(len(requests)) if index not in scored]
        self._events.progress(len(scored), len(requests), "choices")
        if left:
            self._score_requests(requests, left, keep)
        return [scored[index] for index in range(len(requests))]

    def _found(self, keys: list[str], unit: str) -> list[tuple[int, Any]]:
        """By number of the request, what an earlier process kept of it."""
        if self._journal is None:
            return []
        found = [(index, self._journal.find(key)) for index, key in enumerate(keys)]
        known = [(index, answer) for index, answer in found if answer is not None]
        if known:
            sys.stdout.write(f"going on: {len(known)} of {len(keys)} {unit} were done before\n")
        return known

    def _add(self, key: str, answer: Any) -> None:
        if self._journal is not None:
            self._journal.add(key, answer)

    def _max_new_tokens(self, request: Any) -> int:
        return int(normalize_gen_kwargs(request.args[1], self.max_gen_toks)["max_gen_toks"])
