"""Answers many questions with one model, greedily, by continuous batching.

A row that has ended makes room for the next question; prompts are read without padding, several in
one line and several lines side by side; what all prompts begin with is read once; tokens that can
be guessed from the text itself are asked several at a time. (Continuous batching: Yu et al. 2022,
Orca, OSDI; sharing of prefixes: Kwon et al. 2023, arXiv:2309.06180, section 4.4; guesses: see
``bakeoff.worker.drafting``.)
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from bakeoff.worker.answer_attention import AnswerAttention, KeyValues
from bakeoff.worker.drafting import MOST_GUESSED, Draft
from bakeoff.worker.lanes import spread_out
from bakeoff.worker.reading import TOKENS_PER_READING, Line, Reader, common_prefix, line_logits
from bakeoff.worker.stops import Stops

_TOKENS_PER_STEP, _TOKENS_PER_CPU_STEP = 512, 48
"""Of all rows, guesses included: more take longer than they save."""


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

    draft: Draft
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
        penalty: Any | None = None,
    ) -> None:
        self._model = model
        self._attention = attention
        self.num_slots = num_slots
        self._stops = stops
        self._penalty = penalty
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
        with Reader(self._model, self._attention) as reader:
            self._make_room(questions, reader)
            while waiting or self._rows:
                # A single prompt would be read by all cores together, which takes longer.
                fewest = min(reader.num_lanes, len(waiting), self.num_slots)
                if waiting and self.num_slots - len(self._rows) >= fewest:
                    chosen = self._next_questions(waiting, questions)
                    self._ended(self._begin(chosen, reader), on_answer)
                if self._rows:
                    self._ended(self._go_on(), on_answer)

    def _make_room(self, questions: Mapping[int, Question], reader: Reader) -> None:
        longest = max(len(q.token_ids) + q.max_new_tokens for q in questions.values())
        num_slots = min(self.num_slots, len(questions))
        # Guesses stand beyond the last token for a moment.
        capacity = longest - len(self._prefix) + MOST_GUESSED
        self._attention.kept = KeyValues(num_slots, capacity)
        self._rows = []
        if self._prefix:
            reader.read_prefix(self._prefix)

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

    def _begin(
        self, chosen: list[tuple[int, Question]], reader: Reader
    ) -> list[tuple[_Row, list[int]]]:
        """Read prompts; the new rows, each with the first token of its answer."""
        start, first = len(self._prefix), len(self._rows)
        new = [
            _Row(number, question, len(question.token_ids) - start, Draft(question.token_ids))
            for number, question in chosen
        ]
        self._rows += new
        lanes = spread_out(range(len(new)), reader.num_lanes, lambda place: new[place].length)
        lines = [Line() for _ in lanes]
        for line, places in zip(lines, lanes, strict=True):
            for place in places:
                own = new[place].question.token_ids[start:]
                read = line.add(own, position=start, slot=first + place)
                line.kept.append(read.stop - 1)
        found: list[tuple[_Row, list[int]]] = []
        for places, logits in zip(lanes, reader.read(lines), strict=True):
            rows = [new[place] for place in places]
            found += zip(rows, self._said(rows, logits), strict=True)
        return found

    def _go_on(self) -> list[tuple[_Row, list[int]]]:
        """What each answer goes on with: a token, and as many more as were guessed right."""
        guesses = self._guesses()
        width = 1 + max(map(len, guesses))
        lengths = [row.length for row in self._rows]
        self._attention.set_next_tokens(
            lengths, width=width, dtype=self._model.dtype, device=self._model.device
        )
        token_ids: list[int] = []
        positions: list[int] = []
        for row, guess in zip(self._rows, guesses, strict=True):
            token_ids += [row.answer[-1], *guess, *[row.answer[-1]] * (width - 1 - len(guess))]
            at = len(self._prefix) + row.length
            positions += range(at, at + width)
        logits = line_logits(self._model, token_ids, positions, None, keeps=False)
        found = []
        for row, guess, said in zip(
            self._rows, guesses, self._said(self._rows, logits), strict=True
        ):
            num_right = next((i for i, g in enumerate(guess) if g != said[i]), len(guess))
            row.draft.learn(len(guess), num_right)
            row.length += 1 + num_right
            found.append((row, said[: 1 + num_right]))
        return found

    def _guesses(self) -> list[list[int]]:
        """For each row; none where what was said changes what is said next."""
        if self._penalty is not None:
            return [[] for _ in self._rows]
        is_cpu = self._model.device.type == "cpu"
        at_once = _TOKENS_PER_CPU_STEP if is_cpu else _TOKENS_PER_STEP
        most = min(MOST_GUESSED, at_once // len(self._rows) - 1)
        return [
            row.draft.guess(min(most, row.question.max_new_tokens - len(row.answer) - 1))
            for row in self._rows
        ]

    def _said(self, rows: list[_Row], logits: torch.Tensor) -> list[list[int]]:
        """The likeliest tokens of each row; ``logits`` (rows x W, vocabulary)."""
        logits = logits.float()
        if self._penalty is not None:
            for place, row in enumerate(rows):
                seen = torch.tensor([[*row.question.token_ids, *row.answer]], device=logits.device)
                logits[place, None] = self._penalty(seen, logits[place, None])
        said: list[list[int]] = logits.argmax(-1).view(len(rows), -1).tolist()
        return said

    def _ended(
        self, found: list[tuple[_Row, list[int]]], on_answer: Callable[[int, Answer], None]
    ) -> None:
        """Add what was found, hand out the answers that end with it, close the gaps they leave."""
        answers = [
            [*row.answer, *tokens[: i + 1]] for row, tokens in found for i in range(len(tokens))
        ]
        ends = iter(self._stops.ended([answer[-self._stops.window :] for answer in answers]))
        for row, tokens in found:
            flags = [next(ends) for _ in tokens]
            number = 1 + flags.index(True) if True in flags else len(tokens)
            row.answer += tokens[:number]
            for token in tokens[:number]:
                row.draft.add(token)
            if True in flags or len(row.answer) == row.question.max_new_tokens:
                self._leave(row)
                reason = self._stops.reason(row.answer) if True in flags else "token_limit"
                seconds = time.monotonic() - row.began
                answer = Answer(row.answer, True not in flags, reason, seconds)
                on_answer(row.number, answer)

    def _leave(self, row: _Row) -> None:
        slot, last = self._rows.index(row), len(self._rows) - 1
        if slot != last:
            self._attention.kept.move(last, slot, self._rows[last].length)
            self._rows[slot] = self._rows[last]
        self._rows.pop()
