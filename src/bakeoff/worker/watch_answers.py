"""A few held-out questions, answered while a training goes on: does it learn to answer?

Greedily, with the attention of ``bakeoff.worker.answering``; the questions are validation rows,
never test rows. What an evaluation says of the finished model is the harness's, not this.
"""

import re
from dataclasses import dataclass
from typing import Any

from bakeoff.worker import answer_attention
from bakeoff.worker.answer_probe import expected_logits, require_same_logits
from bakeoff.worker.answering import Answer, Answering, Question
from bakeoff.worker.events import Events
from bakeoff.worker.rows import IGNORED, Row, RowList
from bakeoff.worker.settings import WatchSettings
from bakeoff.worker.stops import Stops

_NUMBER = re.compile(r"-?[0-9][0-9.,]*")
_ROWS_AT_A_TIME = 16


@dataclass
class Watch:
    """What is asked, and when."""

    settings: WatchSettings
    tokenizer: Any
    rows: list[Row]
    is_possible: bool = True

    def is_due(self, done: int, num_steps: int) -> bool:
        return self.is_possible and (done % self.settings.every == 0 or done == num_steps)

    def ask(self, model: Any, done: int, events: Events) -> None:
        """Tell ``events`` how many answers after ``done`` steps are right."""
        plain = model.config._attn_implementation
        model.eval()
        try:
            answers = self._answers(model, events)
        except NotImplementedError as error:
            self.is_possible = False
            events.warning(f"No questions are asked during the training: {error}.")
            return
        finally:
            model.set_attn_implementation(plain)
        pairs = [(answers[i], row) for i, row in enumerate(self.rows)]
        right = [same_answer(self._text(a.token_ids), self._target(row)) for a, row in pairs]
        ended = [answer.stop_reason == "end_token" for answer, _ in pairs]
        events.answers(
            step=done,
            num_questions=len(pairs),
            num_right=sum(right),
            num_ended=sum(ended),
        )

    def _answers(self, model: Any, events: Events) -> dict[int, Answer]:
        questions = {
            i: Question(question_of(row), self.settings.max_new_tokens)
            for i, row in enumerate(self.rows)
        }
        texts = [question.token_ids for question in questions.values()]
        model.set_attn_implementation("sdpa")
        expected = expected_logits(model, texts)
        attention = answer_attention.register()
        attention.longest = max(map(len, texts)) + self.settings.max_new_tokens
        model.set_attn_implementation(answer_attention.NAME)
        require_same_logits(model, attention, expected)
        stops = Stops(self.tokenizer, [], eos_ids=frozenset([self.tokenizer.eos_token_id]))
        answers: dict[int, Answer] = {}

        def keep(number: int, answer: Answer) -> None:
            answers[number] = answer
            events.progress(len(answers), len(questions), "questions")

        Answering(model, attention, num_slots=_ROWS_AT_A_TIME, stops=stops).run(questions, keep)
        return answers

    def _target(self, row: Row) -> str:
        start = len(question_of(row))
        return self._text(row.token_ids[start:])

    def _text(self, token_ids: list[int]) -> str:
        return str(self.tokenizer.decode(token_ids, skip_special_tokens=True))


def make_watch(settings: WatchSettings | None, tokenizer: Any, rows: RowList) -> Watch | None:
    """Over the first rows; None: nothing is asked, or there is nothing to ask."""
    if settings is None or not rows:
        return None
    chosen = [row for row in rows[: settings.num_questions] if question_of(row)]
    return Watch(settings, tokenizer, chosen) if chosen else None


def question_of(row: Row) -> list[int]:
    """What stands before the first learned token."""
    first = next((i for i, label in enumerate(row.labels) if label != IGNORED), 0)
    return row.token_ids[:first]


def same_answer(text: str, target: str) -> bool:
    """By the last number where the target ends in one, else by the words as a whole."""
    wanted = _NUMBER.findall(target.partition("####")[2] or target.strip().splitlines()[-1])
    if wanted:
        found = _NUMBER.findall(text)
        return bool(found) and _plain(found[-1]) == _plain(wanted[-1])
    return " ".join(text.casefold().split()) == " ".join(target.casefold().split())


def _plain(number: str) -> str:
    return number.replace(",", "").rstrip(".")
