"""The harness's transformers model class, fed batch by batch.

Prompts, tokenisation, padding, decoding and cutting of answers stay the harness's own. This class
adds what it lacks: a batch ends when each of its rows has met any stop string (the harness waits
until all rows have met the same one), progress is told after each batch, and a batch that does not
fit in memory is tried again at half the size.
"""

import gc
import time
from collections.abc import Callable
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM
from transformers import StoppingCriteria, StoppingCriteriaList
from typing_extensions import override

from bakeoff.worker import products
from bakeoff.worker.failures import is_out_of_memory
from bakeoff.worker.lm_batch_size import free_bytes, rows_that_fit
from bakeoff.worker.lm_kept import Ending, Keep, Keeping, KeepScore, KeptAnswers, template_args
from bakeoff.worker.stops import Stops

_CHOICE_BATCHES_PER_REPORT = 16


class RowStops(StoppingCriteria):
    """Ends each row of a batch at its own first stop string or end-of-sequence token."""

    def __init__(self, stops: Stops, *, num_prompt_tokens: int) -> None:
        self._stops = stops
        self._num_prompt_tokens = num_prompt_tokens
        self.num_tokens: list[int | None] = []
        """Of each row, the tokens generated until it ended; None while it goes on."""

        self._began = time.monotonic()
        self._reasons: dict[int, tuple[str, float]] = {}

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """``input_ids`` has shape (rows, tokens); gives one bool a row: has it ended?"""
        generated = input_ids[:, self._num_prompt_tokens :]
        if not self.num_tokens:
            self.num_tokens = [None] * len(generated)
        going = [row for row, length in enumerate(self.num_tokens) if length is None]
        ended = self._stops.ended(generated[going, -self._stops.window :].tolist())
        for row, has_ended in zip(going, ended, strict=True):
            if has_ended:
                self.num_tokens[row] = generated.shape[1]
                reason = self._stops.reason(generated[row, -1:].tolist())
                self._reasons[row] = (reason, time.monotonic() - self._began)
        return torch.tensor(
            [length is not None for length in self.num_tokens], device=input_ids.device
        )

    def endings(self, num_generated_tokens: int) -> list[Ending]:
        cut = "token_limit", time.monotonic() - self._began
        return [
            Ending(length or num_generated_tokens, length is None, *self._reasons.get(row, cut))
            for row, length in enumerate(self.num_tokens)
        ]


class BatchedLM(KeptAnswers, HFLM):
    """Answers requests; afterwards ``endings`` says how each answer ended."""

    generation = "padded batches by transformers"
    """How the requests were answered."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        batch_size: int | str,
        keeping: Keeping,
        chat_date: str | None = None,
    ) -> None:
        """Load nothing: the model is there.

        Args:
            model: that is asked.
            tokenizer: its own.
            batch_size: questions at a time; ``auto``: as many as memory allows.
            keeping: what is done with the answers.
            chat_date: today, for a chat template that asks.
        """
        super().__init__(
            pretrained=model,
            tokenizer=tokenizer,
            backend="causal",
            batch_size=1 if batch_size == "auto" else batch_size,
            chat_template_args=template_args(chat_date),
        )
        self._begin_keeping(keeping)
        self._batch_endings: list[Ending] = []
        self._chooses_batch_size = batch_size == "auto"

    @override
    def facts(self) -> dict[str, Any]:
        return {
            "batch_size_at_end": self.batch_size,
            "max_length": self.max_length,
            "device": self.device.type,
            "products": products.choose(self.model.dtype, self.device),
            "attention": self.config._attn_implementation,
            "generation": self.generation,
            "generation_config": self.model.generation_config.to_diff_dict(),
            "add_bos_token": self.add_bos_token,
        }

    @override
    def _prepare(self, requests: list[Any], lengths: list[int]) -> None:
        self._fit_max_length(requests, lengths)
        self._choose_batch_size(self.max_length, len(requests))

    @override
    def _answer_requests(self, requests: list[Any], left: list[int], keep: Keep) -> None:
        lengths = {index: len(self.tok_encode(requests[index].args[0])) for index in left}

        def key(index: int) -> tuple[str, int, str]:
            # The order that the harness gives a batch, so that rows and requests stay in step.
            prompt, settings = requests[index].args[:2]
            return repr(settings), -lengths[index], prompt

        def answer(indices: list[int]) -> None:
            self._batch_endings = []
            batch = [requests[index] for index in indices]
            texts = HFLM.generate_until(self, batch, disable_tqdm=True)
            for index, text, ending in zip(indices, texts, self._batch_endings, strict=True):
                keep(index, text, ending)

        self._in_batches(sorted(left, key=key), answer, total=len(requests), unit="questions")

    @override
    def _score_requests(self, requests: list[Any], left: list[int], keep: KeepScore) -> None:
        if self._chooses_batch_size:
            longest = max(len(self.tok_encode("".join(request.args))) for request in requests)
            self._choose_batch_size(longest, len(requests), all_logits=True)

        def score(indices: list[int]) -> None:
            batch = [requests[index] for index in indices]
            found = HFLM.loglikelihood(self, batch, disable_tqdm=True)
            for index, value in zip(indices, found, strict=True):
                keep(index, value)

        # Neighbours are the choices of one question, which the harness scores together.
        self._in_batches(
            left,
            score,
            total=len(requests),
            unit="choices",
            batches_per_report=_CHOICE_BATCHES_PER_REPORT,
        )

    def _in_batches(
        self,
        indices: list[int],
        work: Callable[[list[int]], None],
        *,
        total: int,
        unit: str,
        batches_per_report: int = 1,
    ) -> None:
        """Work through ``indices`` in order, with smaller batches once one did not fit."""
        done = 0
        while done < len(indices):
            batch = indices[done : done + self.batch_size_per_gpu * batches_per_report]
            if self._fits(work, batch):
                done += len(batch)
                self._tell_progress(len(indices) - done, total, unit)

    def _choose_batch_size(
        self, num_tokens: int, num_rows: int, *, all_logits: bool = False
    ) -> None:
        if self._chooses_batch_size:
            num_on_device = self.sharing.num_processes if self.device.type == "cpu" else 1
            self.batch_size_per_gpu = rows_that_fit(
                self.model,
                num_tokens=num_tokens,
                num_rows=num_rows,
                free_bytes=free_bytes(self.device) // num_on_device,
                all_logits=all_logits,
            )

    def _fits(self, work: Callable[[list[int]], None], batch: list[int]) -> bool:
        """Do the work; when memory runs out, halve the batch size and say False."""
        try:
            work(batch)
        except Exception as error:
            if not is_out_of_memory(error) or self.batch_size_per_gpu == 1:
                raise
        else:
            return True
        # Here the traceback is gone, and with it the tensors of the batch that did not fit.
        self.batch_size_per_gpu //= 2
        gc.collect()
        if self.device.type != "cpu":
            getattr(torch, self.device.type).empty_cache()
        self._events.warning(
            f"Memory ran out: going on with {self.batch_size_per_gpu} questions at a time."
        )
        return False

    def _fit_max_length(self, requests: list[Any], lengths: list[int]) -> None:
        """Room for the longest prompt and its answer; the harness takes the model's maximum."""
        limits = [self._max_new_tokens(request) for request in requests]
        needed = max(length + limit for length, limit in zip(lengths, limits, strict=True))
        self._max_length = None
        possible = self.max_length
        num_cut = sum(
            length + limit > possible for length, limit in zip(lengths, limits, strict=True)
        )
        if num_cut:
            self._events.warning(
                f"{num_cut} of {len(requests)} prompts are cut at their beginning: with the answer "
                f"they need up to {needed} tokens, but the model reads {possible}. Ask with fewer "
                "examples or a lower `evaluate.max_new_tokens`."
            )
        self._max_length = min(needed, possible)

    def _model_generate(
        self, context: torch.Tensor, max_length: int, stop: list[str], **settings: Any
    ) -> torch.Tensor:
        """``context`` has shape (rows, prompt tokens), padded left; gives prompts and answers."""
        num_prompt_tokens = context.shape[1]
        self.stop_strings = stop
        stops = RowStops(
            Stops(self.tokenizer, stop, eos_ids=self.eos_ids()),
            num_prompt_tokens=num_prompt_tokens,
        )
        if not settings.get("do_sample"):
            settings.pop("temperature", None)
        output = self.model.generate(
            input_ids=context,
            max_length=max_length,
            stopping_criteria=StoppingCriteriaList([stops]),
            pad_token_id=self.tokenizer.pad_token_id,
            use_cache=True,
            **settings,
        )
        self._batch_endings.extend(stops.endings(output.shape[1] - num_prompt_tokens))
        return output

    def eos_ids(self) -> frozenset[int]:
        ids = self.model.generation_config.eos_token_id
        if ids is None:
            return frozenset()
        return frozenset([ids] if isinstance(ids, int) else ids)
