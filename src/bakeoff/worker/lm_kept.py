"""What every engine's model class does with answers: each is kept as soon as it is there.

Goes before one of the harness's model classes. That class answers or scores what is left; here it
is found out what an earlier process kept, and what each answer ended with.
"""

import sys
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import jinja2
from lm_eval.models.utils import normalize_gen_kwargs

from bakeoff.worker.events import Events
from bakeoff.worker.failures import JobError
from bakeoff.worker.lm_journal import Journal, request_keys
from bakeoff.worker.lm_sharing import ALONE, Sharing


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


@dataclass(frozen=True)
class Keeping:
    """What is done with the answers as they come."""

    events: Events
    """Where progress is told."""

    journal: Journal | None = None
    """Where answers are kept and those of a killed process are found."""

    sharing: Sharing = ALONE
    """The processes that answer together."""


class KeptAnswers:
    """Before a model class of the harness; call ``_begin_keeping`` first of all."""

    tok_encode: Callable[[str], list[int]]
    max_gen_toks: int
    tokenizer: Any
    chat_template_args: dict[str, Any]
    """What is handed to a template goes before what transformers lends it."""

    def _begin_keeping(self, keeping: Keeping) -> None:
        self._events = keeping.events
        self._journal = keeping.journal
        self.sharing = keeping.sharing
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
        keys = request_keys(requests)
        answered: dict[int, Any] = self._found(keys, "questions")
        left = self._left(requests, lengths.__getitem__, answered, "questions")
        own: dict[int, Any] = {}

        def keep(index: int, text: str, ending: Ending) -> None:
            own[index] = [text, asdict(replace(ending, num_prompt_tokens=lengths[index]))]
            self._add(keys[index], own[index])

        if left:
            self._answer_requests(requests, left, keep)
        answered |= self.sharing.all_of(own)
        for index, (_, ending) in sorted(answered.items()):
            place = requests[index].task_name, requests[index].doc_id
            self.endings.setdefault(place, Ending(**ending))
        return [answered[index][0] for index in range(len(requests))]

    def loglikelihood(self, requests: list[Any], **_: Any) -> list[tuple[float, bool]]:
        """Log-probability of each request's continuation, in the order of the requests."""
        keys = request_keys(requests)
        scored: dict[int, Any] = self._found(keys, "choices")
        left = self._left(requests, lambda i: sum(map(len, requests[i].args)), scored, "choices")
        own: dict[int, Any] = {}

        def keep(index: int, found: tuple[float, bool]) -> None:
            own[index] = list(found)
            self._add(keys[index], own[index])

        if left:
            self._score_requests(requests, left, keep)
        scored |= self.sharing.all_of(own)
        return [(scored[index][0], scored[index][1]) for index in range(len(requests))]

    def _left(
        self, requests: list[Any], length: Callable[[int], int], done: Collection[int], unit: str
    ) -> list[int]:
        """Numbers of the requests that are left to this process; those of an item together."""
        self._events.progress(len(done), len(requests), unit)
        left = [index for index in range(len(requests)) if index not in done]
        return self.sharing.own_part(
            left, lambda i: (length(i), (requests[i].task_name, requests[i].doc_id))
        )

    def _tell_progress(self, num_left: int, total: int, unit: str) -> None:
        """``num_left``: of this process; the others are taken to be as far as it is."""
        left = min(total, num_left * self.sharing.num_processes)
        self._events.progress(total - left, total, unit)

    def _found(self, keys: list[str], unit: str) -> dict[int, Any]:
        """By number of the request, what earlier processes kept of it."""
        journal = self._journal
        if journal is None:
            return {}

        def find() -> list[Any]:
            found = [(index, journal.find(key)) for index, key in enumerate(keys)]
            return [[index, answer] for index, answer in found if answer is not None]

        known = dict(self.sharing.of_main(find))
        if known:
            sys.stdout.write(f"going on: {len(known)} of {len(keys)} {unit} were done before\n")
        return known

    def _add(self, key: str, answer: Any) -> None:
        if self._journal is not None:
            self._journal.add(key, answer)

    def _max_new_tokens(self, request: Any) -> int:
        return int(normalize_gen_kwargs(request.args[1], self.max_gen_toks)["max_gen_toks"])
