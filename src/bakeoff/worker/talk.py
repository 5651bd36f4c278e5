"""Holds the model that a training made and the one it started from, and asks both.

Questions and answers are files in the job's folder: ``ask-N.json``, N from 1, is answered in
``said-N.jsonl``, a line a piece, and given up when ``stop-N`` appears; ``ready.json`` says that
everything is loaded. Where the training made an adapter, one set of weights serves both: the
adapter is passed over for every second token.
"""

import contextlib
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from bakeoff.worker.failures import JobError, classify, is_out_of_memory
from bakeoff.worker.lm_batch_size import free_bytes
from bakeoff.worker.lm_model import DTYPES, load_model_of
from bakeoff.worker.machine import choose_device, release_freed_memory, set_seeds, write_json_atomic
from bakeoff.worker.talking import Answer, Asker

_POLL_SECONDS = 0.03
_SPARE = 1.1
"""Of the weights: what answers of some hundred tokens need beside them."""


@dataclass(frozen=True)
class _Side:
    name: str
    model: Any
    switch: Callable[[], AbstractContextManager[Any]]
    """Makes ``model`` this one for as long as it is entered."""


def main(job: dict[str, Any]) -> None:
    """Do the job ``{"model_dir", "artefact_dir", "device", "precision", ...}`` until idle.

    Beside these: ``trust_remote_code``, ``prompt`` (as in the recipe), ``stops`` and
    ``idle_seconds``, after which without a question it ends.

    Raises:
        JobError: the models do not fit into the memory that is free.
    """
    asker = Asker(job)
    _require_memory(job)
    sides = _load(job)
    write_json_atomic(Path("ready.json"), {"device": str(sides[0].model.device)})
    number, since = 1, time.monotonic()
    while time.monotonic() - since < job["idle_seconds"]:
        path = Path(f"ask-{number}.json")
        if not path.is_file():
            time.sleep(_POLL_SECONDS)
            continue
        question = json.loads(path.read_text(encoding="utf-8"))
        with Path(f"said-{number}.jsonl").open("w", encoding="utf-8", newline="\n") as said:
            _ask(sides, asker, question, said, stop=Path(f"stop-{number}"))
        number, since = number + 1, time.monotonic()


def _load(job: dict[str, Any]) -> list[_Side]:
    tuned = load_model_of(job)
    if _shares_weights(job):
        inside = tuned.get_base_model()
        return [
            _Side("base", inside, tuned.disable_adapter),
            _Side("tuned", inside, contextlib.nullcontext),
        ]
    base = load_model_of({**job, "artefact_dir": None})
    if hasattr(tuned, "get_base_model"):
        tuned = tuned.get_base_model()
    return [
        _Side("base", base, contextlib.nullcontext),
        _Side("tuned", tuned, contextlib.nullcontext),
    ]


def _shares_weights(job: dict[str, Any]) -> bool:
    """Whether the model is the untouched one as soon as its adapter is passed over.

    Not where the adapter learned biases, or where loading it takes a part out of the weights.
    """
    path = Path(job["artefact_dir"]) / "adapter_config.json"
    if not path.is_file():
        return False
    config = json.loads(path.read_text(encoding="utf-8"))
    begins_at_zero = config.get("init_lora_weights", True) in (True, False, "gaussian")
    return begins_at_zero and config.get("bias", "none") == "none"


def _require_memory(job: dict[str, Any]) -> None:
    device = choose_device(job["device"])
    folders = [Path(job["model_dir"])]
    if not _shares_weights(job):
        artefact = Path(job["artefact_dir"])
        is_adapter = (artefact / "adapter_config.json").is_file()
        folders.append(folders[0] if is_adapter else artefact)
    needed = int(_SPARE * sum(_weights_bytes(folder, job["precision"]) for folder in folders))
    free = free_bytes(device)
    if needed > free:
        where = "on the GPU" if device.type == "cuda" else "in memory"
        raise JobError(
            f"The models need about {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free "
            f"{where}: end other programs, or talk with one of them by `bakeoff chat`."
        )


def _weights_bytes(folder: Path, precision: str) -> int:
    """In the number format that they are loaded in; of older files, as they lie on disk."""
    from safetensors import safe_open

    files = list(folder.glob("*.safetensors"))
    if not files:
        return sum(path.stat().st_size for path in folder.glob("*.bin"))
    num_values = 0
    for path in files:
        with safe_open(str(path), framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                size = 1
                for length in file.get_slice(name).get_shape():
                    size *= length
                num_values += size
    return num_values * DTYPES[precision].itemsize


def _ask(
    sides: list[_Side], asker: Asker, question: dict[str, Any], said: TextIO, *, stop: Path
) -> None:
    """Both, a token of the one, a token of the other; what fails ends this question alone."""

    def tell(**what: Any) -> None:
        said.write(json.dumps(what, ensure_ascii=False) + "\n")
        said.flush()

    try:
        _answer_in_turn(sides, asker, question, tell, stop)
    except Exception as error:
        if not (isinstance(error, JobError) or is_out_of_memory(error)):
            raise
        tell(error=classify(error, "talk")[1])
    release_freed_memory()
    tell(done=True)


def _answer_in_turn(
    sides: list[_Side],
    asker: Asker,
    question: dict[str, Any],
    tell: Callable[..., None],
    stop: Path,
) -> None:
    set_seeds(int(question["seed"]))
    answers = {}
    for side in sides:
        earlier = [(turn["question"], turn[side.name]) for turn in question["earlier"]]
        ids = asker.ids(question["question"], earlier)
        tell(side=side.name, asked=asker.tokenizer.decode(ids))
        limits = {"max_new_tokens": int(question["max_new_tokens"])}
        temperature = float(question["temperature"])
        answers[side.name] = Answer(side.model, asker, ids, temperature=temperature, **limits)
    left = list(sides)
    while left:
        for side in list(left):
            answer = answers[side.name]
            if stop.exists():
                answer.reason = "stopped"
            else:
                with side.switch():
                    answer.go_on()
            _tell_of(side.name, answer, tell)
            if answer.reason is not None:
                left.remove(side)


def _tell_of(name: str, answer: Answer, tell: Callable[..., None]) -> None:
    told: dict[str, Any] = {"side": name, "more": answer.more()}
    if answer.reason is not None:
        told |= {
            "reason": answer.reason,
            "num_tokens": len(answer.token_ids),
            "tokens_per_second": answer.tokens_per_second,
        }
    if told["more"] or answer.reason is not None:
        tell(**told)
