"""Answers many questions with one model, greedily, by continuous batching.

A row that has ended makes room for the next question at once; prompts are read without padding,
several in one line; what all prompts begin with is read once. (Continuous batching: Yu et al. 2022,
Orca, OSDI; sharing of prefixes: Kwon et al. 2023, arXiv:2309.06180, section 4.4.)
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from bakeoff.worker.answer_attention import AnswerAttention, KeyValues, Segment
from bakeoff.worker.modelling import accepts
from bakeoff.worker.stops import Stops

TOKENS_PER_READING = 2048
"""Of one forward pass over texts, at most; a longer text is read alone."""

_SHORTEST_PREFIX = 16
"""Sharing fewer tokens would cost more than reading them again."""


@dataclass(frozen=True)
class Question:
    token_ids: list[int]
    max_new_tokens: int


@dataclass(frozen=True)
class Answer:
    token_ids: list[int]
    """What was generated, the end-of-sequence token or the stop string included."""

    hit_limit: bool
    """Neither a stop string nor the end-of-sequence token came before the limit."""

    stop_reason: str
    seconds: float
    """From the reading of the question to here, with others beside it."""


@dataclass
class _Row:
    number: int
    """Of the question."""

    question: Question
    length: int
    """Tokens whose keys and values are kept in the row's slot."""

    answer: list[int] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)


class Answering:
    """Answers questions; rows hold the first slots, without a gap."""

    def __init__(
        self,
        model: Any,
        attention: AnswerAttention,
        *,
        num_slots: int,
        stops: Stops,
        repetition_penalty: float = 1.0,
    ) -> None:
        self._model = model
        self._attention = attention
        self.num_slots = num_slots
        self._stops = stops
        self._penalty = repetition_penalty
        self._keeps_logits = accepts(model, "logits_to_keep")
        self._rows: list[_Row] = []
        self._prefix: list[int] = []

    @torch.inference_mode()
    def run(
        self, questions: Mapping[int, Question], on_answer: Callable[[int, Answer], None]
    ) -> None:
        """Answer all questions, the longest first; ``on_answer`` is told each as it ends.

        Args:
            questions: by any number.
            on_answer: is given that number and the answer.
        """
        waiting = sorted(questions, key=lambda number: -len(questions[number].token_ids))
        waiting.reverse()  # the next one is the last
        self._prefix = common_prefix([question.token_ids for question in questions.values()])
        self._make_room(questions)
        while waiting or self._rows:
            if waiting and len(self._rows) < self.num_slots:
                self._ended(self._begin(self._next_questions(waiting, questions)), on_answer)
            if self._rows:
                self._ended(self._go_on(), on_answer)

    def _make_room(self, questions: Mapping[int, Question]) -> None:
        longest = max(len(q.token_ids) + q.max_new_tokens for q in questions.values())
        num_slots = min(self.num_slots, len(questions))
        self._attention.kept = KeyValues(num_slots, longest - len(self._prefix))
        self._rows = []
        if self._prefix:
            read_prefix(self._model, self._attention, self._prefix)

    def _next_questions(
        self, waiting: list[int], questions: Mapping[int, Question]
    ) -> list[tuple[int, Question]]:
        chosen: list[tuple[int, Question]] = []
        num_tokens = 0
        while waiting and len(self._rows) + len(chosen) < self.num_slots:
            question = questions[waiting[-1]]
            num_tokens += len(question.token_ids) - len(self._prefix)
            if chosen and num_tokens > TOKENS_PER_READING:
                break
            chosen.append((waiting.pop(), question))
        return chosen

    def _begin(self, chosen: list[tuple[int, Question]]) -> list[_Row]:
        """Read prompts and take the first token of each answer; the rows that got one."""
        token_ids: list[int] = []
        positions: list[int] = []
        segments, new = [], []
        start = len(self._prefix)
        for number, question in chosen:
            own = question.token_ids[start:]
            row = _Row(number, question, len(own))
            place = slice(len(token_ids), len(token_ids) + len(own))
            segments.append(Segment(place, slot=len(self._rows)))
            token_ids += own
            positions += range(start, start + len(own))
            self._rows.append(row)
            new.append(row)
        self._attention.set_segments(segments)
        ends = [segment.tokens.stop - 1 for segment in segments]
        self._take(new, self._logits(token_ids, positions, ends))
        return new

    def _go_on(self) -> list[_Row]:
        """One more token of every answer."""
        lengths = [row.length for row in self._rows]
        self._attention.set_next_tokens(lengths, dtype=self._model.dtype, device=self._model.device)
        token_ids = [row.answer[-1] for row in self._rows]
        positions = [len(self._prefix) + length for length in lengths]
        self._take(self._rows, self._logits(token_ids, positions, None))
        for row in self._rows:
            row.length += 1
        return self._rows

    def _logits(
        self, token_ids: list[int], positions: list[int], kept: list[int] | None
    ) -> torch.Tensor:
        """(kept tokens, vocabulary) in fp32; all tokens are kept when ``kept`` is None."""
        logits = line_logits(self._model, token_ids, positions, kept, keeps=self._keeps_logits)
        return logits.float()

    def _take(self, rows: list[_Row], logits: torch.Tensor) -> None:
        if self._penalty != 1.0:
            for row, scores in zip(rows, logits, strict=True):
                _penalise(scores, [*row.question.token_ids, *row.answer], self._penalty)
        for row, token in zip(rows, logits.argmax(-1).tolist(), strict=True):
            row.answer.append(token)

    def _ended(self, rows: list[_Row], on_answer: Callable[[int, Answer], None]) -> None:
        """Hand out the answers that have ended, and close the gaps that they leave."""
        tails = [row.answer[-self._stops.window :] for row in rows]
        ended = self._stops.ended(tails)
        for row, has_ended in zip(list(rows), ended, strict=True):
            if has_ended or len(row.answer) == row.question.max_new_tokens:
                self._leave(row)
                reason = self._stops.reason(row.answer) if has_ended else "token_limit"
                seconds = time.monotonic() - row.began
                on_answer(row.number, Answer(row.answer, not has_ended, reason, seconds))

    def _leave(self, row: _Row) -> None:
        slot, last = self._rows.index(row), len(self._rows) - 1
        if slot != last:
            self._attention.kept.move(last, slot, self._rows[last].length)
            self._rows[slot] = self._rows[last]
        self._rows.pop()


def common_prefix(texts: list[list[int]]) -> list[int]:
    """The tokens that all texts begin with, each keeping one of its own; none if they are few."""
    first, last = min(texts), max(texts)
    longest = min(len(text) for text in texts) - 1
    length = 0
    while length < longest and first[length] == last[length]:
        length += 1
    return first[:length] if length >= _SHORTEST_PREFIX and len(texts) > 1 else []


def read_prefix(model: Any, attention: AnswerAttention, token_ids: list[int]) -> None:
    """Keep the keys and values of what all later texts begin with."""
    attention.set_segments([Segment(slice(0, len(token_ids)))])
    attention.is_prefix = True
    try:
        line_logits(model, token_ids, list(range(len(token_ids))), [0], keeps=True)
    finally:
        attention.is_prefix = False


def line_logits(
    model: Any, token_ids: list[int], positions: list[int], kept: list[int] | None, *, keeps: bool
) -> torch.Tensor:
    """One forward pass over one line of tokens.

    Args:
        model: with the attention of ``bakeoff.worker.answer_attention``.
        token_ids: of the line.
        positions: of each token in its own text.
        kept: places whose logits are wanted; None: all.
        keeps: whether the model can compute the logits of some places only.

    Returns:
        (kept, vocabulary), in the model's format.
    """
    device = model.device
    places = None if kept is None else torch.tensor(kept, device=device)
    options = {"logits_to_keep": places} if places is not None and keeps else {}
    logits = model(
        input_ids=torch.tensor([token_ids], device=device),
        position_ids=torch.tensor([positions], device=device),
        use_cache=False,
        **options,
    ).logits[0]
    return logits if places is None or options else logits[places]


def _penalise(logits: torch.Tensor, token_ids: list[int], penalty: float) -> None:
    """In place, as transformers does it (Keskar et al. 2019, arXiv:1909.05858, section 4.1)."""
    seen = torch.tensor(sorted(set(token_ids)), device=logits.device)
    scores = logits[seen]
    logits[seen] = torch.where(scores < 0, scores * penalty, scores / penalty)
