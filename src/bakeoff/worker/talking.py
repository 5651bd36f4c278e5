"""Questions put to a model one at a time, as its training put them; the answer token by token.

An answer is made step by step by whoever holds it, so that two models can answer in turn, each
timed alone, and an answer can be given up at any token.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from bakeoff.worker.asked_template import end_ids
from bakeoff.worker.failures import JobError
from bakeoff.worker.lm_model import load_tokenizer, penalty_of
from bakeoff.worker.modelling import accepts
from bakeoff.worker.stops import Stops

_UNFINISHED = "\ufffd"
"""What a decoder writes for a character of which not all bytes have come."""


class Asker:
    """Makes token ids of questions, and knows where an answer ends."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        """Of a job with ``model_dir``, ``trust_remote_code``, ``prompt`` and ``stops``."""
        self.prompt: Mapping[str, Any] = job["prompt"]
        self.is_raw = self.prompt["template"] == "raw"
        own = None if self.prompt["template"] in ("raw", "chat") else self.prompt["template"]
        self.tokenizer = load_tokenizer(
            Path(job["model_dir"]),
            trust_remote_code=bool(job["trust_remote_code"]),
            chat=None if self.is_raw else {"template": own},
        )
        self.stop_strings: Sequence[str] = job["stops"]

    def ids(self, question: str, earlier: Sequence[tuple[str, str]] = ()) -> list[int]:
        """The question as the training had it.

        Args:
            question: as a person types it.
            earlier: questions and their answers before it; plain text knows none.
        """
        if self.is_raw:
            found: list[int] = self.tokenizer(self._put(question))["input_ids"]
            return found
        system = self.prompt["system"]
        turns = [] if system is None else [{"role": "system", "content": system}]
        for asked, answered in earlier:
            turns.append({"role": "user", "content": self._put(asked)})
            turns.append({"role": "assistant", "content": answered})
        turns.append({"role": "user", "content": self._put(question)})
        made = self.tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_dict=True
        )
        return list(made["input_ids"])

    def _put(self, question: str) -> str:
        import jinja2

        # Plain text for a model, not a page: nothing is escaped.
        return jinja2.Template(self.prompt["text"]).render(prompt=question)

    def stops_of(self, model: Any) -> Stops:
        own = model.generation_config.eos_token_id
        own = [] if own is None else [own] if isinstance(own, int) else own
        eos_ids = frozenset([*own, *end_ids(self.tokenizer)])
        return Stops(self.tokenizer, self.stop_strings, eos_ids=eos_ids)


class Answer:
    """One answer in the making."""

    def __init__(
        self,
        model: Any,
        asker: Asker,
        ids: Sequence[int],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
    ) -> None:
        """Nothing is computed yet.

        Args:
            model: that answers, without a wrapper.
            asker: that made ``ids``.
            ids: of the question.
            max_new_tokens: after so many it ends.
            temperature: 0 takes the likeliest token, above it tokens are drawn.

        Raises:
            JobError: the question leaves no room for an answer.
        """
        most = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        if most is not None and len(ids) >= most:
            raise JobError(
                f"The question has {len(ids):,} tokens, the model reads at most {most:,}: "
                "ask in fewer words."
            )
        self._limit = max_new_tokens if most is None else min(max_new_tokens, most - len(ids))
        self._model = model
        self._asker = asker
        self._question = list(ids)
        self._stops = asker.stops_of(model)
        self._temperature = temperature
        self._penalty = penalty_of(model)
        self._kept: Any = None
        self.token_ids: list[int] = []
        self.reason: str | None = None
        """Why it ended: ``end_token``, ``stop_string`` or ``limit``; None: it goes on."""
        self._seconds = 0.0
        self._num_given = 0

    @torch.inference_mode()
    def go_on(self) -> None:
        """One more token."""
        began = time.perf_counter()
        new = self.token_ids[-1:] or self._question
        read = torch.tensor([new], device=self._model.device)
        last_only = {"logits_to_keep": 1} if accepts(self._model, "logits_to_keep") else {}
        # The older name is deprecated in transformers 5.
        kept = "cache" if accepts(self._model, "cache") else "past_key_values"
        made = self._model(input_ids=read, use_cache=True, **{kept: self._kept}, **last_only)
        self._kept = made[kept]
        self.token_ids.append(self._chosen(made.logits[:, -1].float()))
        if self._stops.ended([self.token_ids])[0]:
            self.reason = self._stops.reason(self.token_ids)
        elif len(self.token_ids) >= self._limit:
            self.reason = "limit"
        if len(self.token_ids) > 1:  # the first one's time is that of reading the question
            self._seconds += time.perf_counter() - began

    def _chosen(self, logits: torch.Tensor) -> int:
        """Of logits (1, vocabulary)."""
        if self._penalty is not None:
            seen = torch.tensor([self._question + self.token_ids], device=logits.device)
            logits = self._penalty(seen, logits)
        if self._temperature <= 0:
            return int(logits.argmax(-1))
        return int(torch.multinomial((logits / self._temperature).softmax(-1), 1))

    @property
    def tokens_per_second(self) -> float | None:
        """Once the question was read."""
        return (len(self.token_ids) - 1) / self._seconds if self._seconds > 0 else None

    @property
    def text(self) -> str:
        """What can be shown: it only grows, so half a character and half a stop string wait."""
        tokenizer, stops = self._asker.tokenizer, self._asker.stop_strings
        text: str = tokenizer.decode(self.token_ids, skip_special_tokens=True)
        for stop in stops:
            text = text.partition(stop)[0]
        if self.reason is not None:
            return text
        text = text.rstrip(_UNFINISHED)
        begun = (n for stop in stops for n in range(len(stop), 0, -1) if text.endswith(stop[:n]))
        return text[: len(text) - max(begun, default=0)]

    def more(self) -> str:
        """Of the text, what came since this was last asked."""
        text = self.text
        found = text[self._num_given :]
        self._num_given = len(text)
        return found
