"""The harness's transformers model class over bakeoff's own generation.

Prompts, tokenisation, stop strings and the cutting of answers stay the harness's own. What this
way cannot do (sampling, unusual decoding settings, an attention that cannot be replaced) goes the
way of ``BatchedLM``, and the reason is told.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
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
from bakeoff.worker.lm_batches import BatchedLM
from bakeoff.worker.lm_kept import Ending, Keep
from bakeoff.worker.lm_model import penalty_of
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
    """Answers requests; afterwards ``endings`` says how each answer ended."""

    generation = "continuous batching without padding"
    """How the requests were answered."""

    _is_probed: bool = False

    @property
    def _core(self) -> Any:
        """With the layers of an adapter inside it: PEFT's wrapper does not say what it takes."""
        wrapped = hasattr(self.model, "get_base_model")
        return self.model.get_base_model() if wrapped else self.model

    @override
    def _answer_requests(self, requests: list[Any], left: list[int], keep: Keep) -> None:
        try:
            self._require_greedy(requests)
            prompts = {index: self.tok_encode(requests[index].args[0]) for index in left}
            with self._attention(list(prompts.values())) as attention:
                self._generate(attention, requests, prompts, keep)
        except NotImplementedError as error:
            self._go_plainly(error)
            super()._answer_requests(requests, left, keep)

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
                return log_probabilities(self._core, attention, pairs, dtype=self.softmax_dtype)
        except NotImplementedError as error:
            self._go_plainly(error)
            return super()._loglikelihood_tokens(requests, *arguments, **options)

    def _generate(
        self,
        attention: AnswerAttention,
        requests: list[Any],
        prompts: dict[int, list[int]],
        keep: Keep,
    ) -> None:
        num_left = len(prompts)
        for numbers in _by_settings(requests, list(prompts)):
            until, max_new_tokens = self._ends(requests[numbers[0]])
            room = self.max_length - max_new_tokens
            left = {n: Question(prompts[n][-room:], max_new_tokens) for n in numbers}

            def answered(
                number: int,
                answer: Answer,
                until: list[str] = until,
                left: dict[int, Question] = left,
            ) -> None:
                nonlocal num_left
                num_left -= 1
                del left[number]
                text = postprocess_generated_text(self.tok_decode(answer.token_ids), until, None)
                keep(number, text, _ending(answer))
                self._tell_progress(num_left, len(requests), "questions")

            self._answer(self._answering(attention, until), left, answered)

    def _answer(
        self,
        answering: Answering,
        left: dict[int, Question],
        on_answer: Callable[[int, Answer], None],
    ) -> None:
        """Answer until none is ``left``, with fewer rows at a time once memory has run out."""

        def answer(numbers: list[int]) -> None:
            answering.num_slots = self.batch_size_per_gpu
            answering.run({number: left[number] for number in numbers}, on_answer)

        while left:
            self._fits(answer, list(left))

    def _answering(self, attention: AnswerAttention, until: list[str]) -> Answering:
        return Answering(
            self._core,
            attention,
            num_slots=self.batch_size_per_gpu,
            stops=Stops(self.tokenizer, until, eos_ids=self.eos_ids()),
            penalty=penalty_of(self.model),
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
        plain = self._core.config._attn_implementation
        attention = answer_attention.register()
        attention.longest = self.max_length
        expected = None if self._is_probed else expected_logits(self._core, texts)
        self._core.set_attn_implementation(answer_attention.NAME)
        try:
            if expected is not None:
                require_same_logits(self._core, attention, expected)
                self._is_probed = True
            yield attention
        finally:
            self._core.set_attn_implementation(plain)

    def _go_plainly(self, reason: NotImplementedError) -> None:
        told = f"padded batches by transformers ({reason})"
        if self.generation != told:
            self.generation = told
            self._events.warning(
                f"The engine `builtin` leaves this to the engine `hf`, which is slower: {reason}."
            )


def _ending(answer: Answer) -> Ending:
    return Ending(len(answer.token_ids), answer.hit_limit, answer.stop_reason, answer.seconds)


def _by_settings(requests: list[Any], numbers: list[int]) -> list[list[int]]:
    """Numbers of requests, those with equal settings together."""
    groups: dict[str, list[int]] = {}
    for number in numbers:
        groups.setdefault(repr(requests[number].args[1]), []).append(number)
    return list(groups.values())
