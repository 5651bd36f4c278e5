"""Talks with a model on standard input and output, asked as it was asked in training."""

import sys
import warnings
from pathlib import Path
from typing import Any

from bakeoff.worker.lm_model import load_model_of, load_tokenizer
from bakeoff.worker.machine import set_seeds

_STOPS = ("Question:", "\n\n\n")
"""Where a plain-text answer ends that goes on with a question of its own."""


def main(job: dict[str, Any]) -> None:
    """Do the job ``{"model_dir", "artefact_dir", "device", "precision", ...}``.

    Beside these: ``trust_remote_code``, ``prompt`` (as in the recipe), ``max_new_tokens`` and
    ``temperature``. A line asks; an empty line begins a new conversation; the end of the input
    ends it.
    """
    import transformers

    warnings.simplefilter("ignore")  # of libraries, to a person who is talking
    transformers.utils.logging.set_verbosity_error()
    set_seeds(0)
    prompt = job["prompt"]
    is_raw = prompt["template"] == "raw"
    template = None if prompt["template"] in ("raw", "chat") else prompt["template"]
    trust = bool(job["trust_remote_code"])
    chat = None if is_raw else {"template": template}
    tokenizer = load_tokenizer(Path(job["model_dir"]), trust_remote_code=trust, chat=chat)
    model = load_model_of(job)
    talk = _Talk(model, tokenizer, job, is_raw=is_raw)
    _say("ready: type a question; an empty line begins anew, Ctrl-D ends\n")
    for line in sys.stdin:
        talk.hear(line.rstrip("\n"))


class _Talk:
    """One conversation; a model that was asked in plain text is asked one question at a time."""

    def __init__(self, model: Any, tokenizer: Any, job: dict[str, Any], *, is_raw: bool) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._job = job
        self._is_raw = is_raw
        self._turns: list[dict[str, str]] = []

    def hear(self, line: str) -> None:
        if not line.strip():
            self._turns = []
            _say("(a new conversation)\n")
            return
        answer = self._answer(self._ids(line))
        if not self._is_raw:
            self._turns.append({"role": "assistant", "content": answer})
        sys.stdout.write("\n\n")
        sys.stdout.flush()

    def _ids(self, line: str) -> Any:
        """The question as the training had it, (1, tokens)."""
        import jinja2

        prompt = self._job["prompt"]
        # Plain text for a model, not a page: nothing is escaped.
        text = jinja2.Template(prompt["text"]).render(prompt=line)
        if self._is_raw:
            found = self._tokenizer(text, return_tensors="pt")
            return found["input_ids"].to(self._model.device)
        if not self._turns and prompt["system"] is not None:
            self._turns.append({"role": "system", "content": prompt["system"]})
        self._turns.append({"role": "user", "content": text})
        found = self._tokenizer.apply_chat_template(
            self._turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        return found["input_ids"].to(self._model.device)

    def _answer(self, ids: Any) -> str:
        import torch
        from transformers import TextStreamer

        temperature = float(self._job["temperature"])
        drawn = {"do_sample": True, "temperature": temperature} if temperature > 0 else {}
        stops = {"stop_strings": list(_STOPS), "tokenizer": self._tokenizer} if self._is_raw else {}
        made = self._model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=int(self._job["max_new_tokens"]),
            streamer=TextStreamer(self._tokenizer, skip_prompt=True, skip_special_tokens=True),
            **drawn,
            **stops,
        )
        text: str = self._tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)
        return text


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
