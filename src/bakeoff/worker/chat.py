"""Talks with a model on standard input and output, asked as it was asked in training."""

import sys
import warnings
from typing import Any

from bakeoff.worker.failures import JobError
from bakeoff.worker.lm_model import load_model_of
from bakeoff.worker.machine import set_seeds
from bakeoff.worker.talking import Answer, Asker


def main(job: dict[str, Any]) -> None:
    """Do the job ``{"model_dir", "artefact_dir", "device", "precision", ...}``.

    Beside these: ``trust_remote_code``, ``prompt`` (as in the recipe), ``stops``,
    ``max_new_tokens`` and ``temperature``. A line asks; an empty line begins a new conversation;
    the end of the input ends it.
    """
    import transformers

    warnings.simplefilter("ignore")  # of libraries, to a person who is talking
    transformers.utils.logging.set_verbosity_error()
    set_seeds(0)
    asker = Asker(job)
    model = load_model_of(job)
    if hasattr(model, "get_base_model"):
        model = model.get_base_model()  # the adapter stays in it
    _say("ready: type a question; an empty line begins anew, Ctrl-D ends\n")
    earlier: list[tuple[str, str]] = []
    for line in sys.stdin:
        question = line.rstrip("\n")
        if not question.strip():
            earlier = []
            _say("(a new conversation)\n")
            continue
        try:
            earlier.append((question, _answer(model, asker, question, earlier, job)))
        except JobError as error:
            _say(f"{error}\n")


def _answer(
    model: Any, asker: Asker, question: str, earlier: list[tuple[str, str]], job: dict[str, Any]
) -> str:
    """Written as it comes."""
    limits = {"max_new_tokens": int(job["max_new_tokens"])}
    ids = asker.ids(question, earlier)
    answer = Answer(model, asker, ids, temperature=float(job["temperature"]), **limits)
    while answer.reason is None:
        answer.go_on()
        sys.stdout.write(answer.more())
        sys.stdout.flush()
    sys.stdout.write("\n\n")
    sys.stdout.flush()
    return answer.text


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
