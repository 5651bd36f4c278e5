"""The harness's transformers model class over bakeoff's own generation.

Prompts, tokenisation, stop strings and the cutting of answers stay the harness's own. What this
way cannot do (sampling, unusual decoding settings, an attention that cannot be replaced) goes the
way of ``BatchedLM``, and the reason is told.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from lm_eval.models.utils import (
    handle_stop_sequences,
    normalize_gen_kwargs,
    postprocess_generated_text,
)
from typing_extensions import override

from bakeoff.worker import answer_attention
from bakeoff.worker.answer_attention import AnswerAttention
from bakeoff.worker.answer_probe import expected_logits, require_same_logits
from bakeoff.worker.answering import Answer, Answering, Question
from bakeoff.worker.choosing import Continuation, log_probabilities
from bakeoff.worker.lm_batches import BatchedLM, Ending
from bakeoff.worker.stops import Stops

_FOLLOWED = frozenset(
    {
        "bos_token_id", "eos_token_id", "pad_token_id", "do_sample", "temperature", "top_k",
        "top_p", "min_p", "typical_p", "max_length", "max_new_tokens", "transformers_version",
        "use_cache", "cache_implementation", "repetition_penalty", "_from_model_config",
    }
)  # fmt: skip
"""Decoding settings of a model that change no greedy answer, or that are done here as well."""


class AnsweringLM(BatchedLM):
    """Answers the requests of ONE task; afterwards ``endings`` says how each answer ended."""

    generation = "continuous batching without padding"
    """How the requests were answered."""

    _is_probed: bool = False

    @override
    def generate_until(self, requests: list[Any], **options: Any) -> list[str]:
        """One answer a request, in the order of the requests."""
        prompts = [self.tok_encode(request.args[0]) for request in requests]
        self._fit_max_length(requests, [len(prompt) for prompt in prompts])
        try:
            self._require_greedy(requests)
            with self._attention(prompts) as attention:
                return self._generate(attention, requests, prompts)
        except NotImplementedError as error:
            self._go_plainly(error)
            return super().generate_until(requests, **options)

    def _loglikelihood_tokens(
        self, requests: list[Any], *arguments: Any, **options: Any
    ) -> list[tuple[float, bool]]:
        """As the harness defines it; each request is (texts, context tokens, continuation's)."""
        pairs = [
            Continuation(tuple(context), tuple(continuation))
            for _, context, continuation in requests
        ]
        try:
            self._require_room(pairs)
            with self._attention([[*pair.context, *pair.token_ids] for pair in pairs]) as attention:
                return log_probabilities(self.model, attention, pairs, dtype=self.softmax_dtype)
        except NotImplementedError as error:
            self._go_plainly(error)
            return super()._loglikelihood_tokens(requests, *arguments, **options)

    def _generate(
        self, attention: AnswerAttention, requests: list[Any], prompts: list[list[int]]
    ) -> list[str]:
        self._events.progress(0, len(requests), "questions")
        answers: dict[int, Answer] = {}
        texts: dict[int, str] = {}
        for numbers in _by_settings(requests):
            until, max_new_tokens = self._ends(requests[numbers[0]])
            room = self.max_length - max_new_tokens
            questions = {n: Question(prompts[n][-room:], max_new_tokens) for n in numbers}
            self._answer(self._answering(attention, until), questions, answers, len(requests))
            for number in numbers:
                text = self.tok_decode(answers[number].token_ids)
                texts[number] = postprocess_generated_text(text, until, None)
        for number, request in enumerate(requests):
            ended = answers[number]
            ending = Ending(num_tokens=len(ended.token_ids), hit_limit=ended.hit_limit)
            self.endings.setdefault(request.doc_id, ending)
        return [texts[number] for number in range(len(requests))]

    def _answer(
        self,
        answering: Answering,
        questions: dict[int, Question],
        answers: dict[int, Answer],
        num_requests: int,
    ) -> None:
        """Add to ``answers``, with fewer rows at a time once memory has run out."""

        def keep(number: int, answer: Answer) -> None:
            answers[number] = answer
            self._events.progress(len(answers), num_requests, "questions")

        def answer(left: list[int]) -> None:
            answering.num_slots = self.batch_size_per_gpu
            answering.run({number: questions[number] for number in left}, keep)

        while left := [number for number in questions if number not in answers]:
            self._fits(answer, left)

    def _answering(self, attention: AnswerAttention, until: list[str]) -> Answering:
        return Answering(
            self.model,
            attention,
            num_slots=self.batch_size_per_gpu,
            stops=Stops(self.tokenizer, until, eos_ids=self.eos_ids()),
            repetition_penalty=self.model.generation_config.repetition_penalty or 1.0,
        )

    def _ends(self, request: Any) -> tuple[list[str], int]:
        """What ends an answer: strings, and a number of tokens."""
        settings = normalize_gen_kwargs(request.args[1], self.max_gen_toks)
        eos = self.tok_decode(self.eot_token_id, skip_special_tokens=False)
        self.stop_strings = handle_stop_sequences(settings["until"], eos=eos)
        return self.stop_strings, int(settings["max_gen_toks"])

    def _require_room(self, pairs: list[Continuation]) -> None:
        """Raise NotImplementedError where the harness would cut the beginning of a choice."""
        longest = max(len(pair.context) + len(pair.token_ids) for pair in pairs)
        if longest > self.max_length + 1:
            raise NotImplementedError(f"a choice has {longest} tokens, so that it must be cut")

    def _require_greedy(self, requests: list[Any]) -> None:
        """Raise NotImplementedError for decoding settings that change a greedy answer."""
        model_settings = self.model.generation_config.to_diff_dict()
        asked = [normalize_gen_kwargs(request.args[1], self.max_gen_toks) for request in requests]
        if any(settings["do_sample"] for settings in asked):
            raise NotImplementedError("answers are sampled")
        own = {"until", "max_gen_toks", "do_sample", "temperature"}
        chosen = {key for one in (model_settings, *asked) for key, value in one.items() if value}
        others = sorted(chosen - own - _FOLLOWED)
        if others:
            raise NotImplementedError(f"it is asked for `{'`, `'.join(others)}`")

    @contextlib.contextmanager
    def _attention(self, texts: Sequence[list[int]]) -> Iterator[AnswerAttention]:
        """The model with our attention, for as long as it is needed.

        Raises:
            NotImplementedError: the model's attention cannot be replaced.
        """
        plain = self.model.config._attn_implementation
        attention = answer_attention.register()
        attention.longest = self.max_length
        expected = None if self._is_probed else expected_logits(self.model, texts)
        self.model.set_attn_implementation(answer_attention.NAME)
        try:
            if expected is not None:
                require_same_logits(self.model, attention, expected)
                self._is_probed = True
            yield attention
        finally:
            self.model.set_attn_implementation(plain)

    def _go_plainly(self, reason: NotImplementedError) -> None:
        told = f"padded batches by transformers ({reason})"
        if self.generation != told:
            self.generation = told
            self._events.warning(
                f"The engine `builtin` leaves this to the engine `hf`, which is slower: {reason}."
            )


def _by_settings(requests: list[Any]) -> list[list[int]]:
    """Numbers of the requests, those with equal settings together."""
    groups: dict[str, list[int]] = {}
    for number, request in enumerate(requests):
        groups.setdefault(repr(request.args[1]), []).append(number)
    return list(groups.values())
