"""What a training made becomes one model on disk, which any tool reads."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bakeoff.worker.asked_template import asked_template, end_ids
from bakeoff.worker.failures import JobError
from bakeoff.worker.go_template import NotTurnsError, find_pieces
from bakeoff.worker.lm_merge import merge
from bakeoff.worker.lm_model import decoding_of, load_model, load_tokenizer
from bakeoff.worker.machine import choose_device, packages, write_json_atomic

_LEFT_TO_US = ("generation_config.json", "chat_template.jinja", "training_args.bin")
_PARTS = (
    "*.safetensors",
    "*.safetensors.index.json",
    "*.bin",
    "*.bin.index.json",
    "*.json",
    "*.py",
)


def main(job: dict[str, Any]) -> None:
    """Do the job ``{"model_dir", "artefact_dir", "output_dir", "precision", "trust_remote_code"}``.

    With ``prompt``, of the recipe, the model is written as it was asked: that is its chat template,
    and the ends of its answers end them. ``result.json`` then tells, under ``asked``, what other
    programs need to ask in the same way.

    Raises:
        JobError: the merged model does not say what the two say apart.
    """
    trust = bool(job["trust_remote_code"])
    model_dir, artefact = Path(job["model_dir"]), Path(job["artefact_dir"])
    output = Path(job["output_dir"])
    tokenizer = load_tokenizer(model_dir, trust_remote_code=trust)
    if (artefact / "adapter_config.json").is_file():
        found = _merged(job, tokenizer, output)
    else:
        _take(artefact, output)
        found = {}
    if "prompt" in job:
        ends = end_ids(tokenizer)
        tokenizer.chat_template = asked_template(job["prompt"], tokenizer)
        decoding = decoding_of(model_dir, output, trust_remote_code=trust)
        decoding.eos_token_id = ends or decoding.eos_token_id
        decoding.save_pretrained(output)
        found["asked"] = _asked(job["prompt"], tokenizer, ends)
    tokenizer.save_pretrained(output)
    write_json_atomic(Path("result.json"), {**found, "packages": packages()})


def _merged(job: Mapping[str, Any], tokenizer: Any, output: Path) -> dict[str, Any]:
    model = load_model(
        Path(job["model_dir"]),
        Path(job["artefact_dir"]),
        precision=job["precision"],
        device=choose_device("cpu"),
        trust_remote_code=bool(job["trust_remote_code"]),
    )
    merged, facts = merge(model, tokenizer)
    if not facts.is_same:
        raise JobError(
            f"The merged model differs from the model with its adapter by "
            f"{facts.relative_difference:.2g} of its logits, more than rounding explains "
            f"({facts.tolerance:g}); nothing was written."
        )
    merged.save_pretrained(output)
    return asdict(facts)


def _take(artefact: Path, output: Path) -> None:
    """A whole model as it is. Weights share their bytes on disk where they can."""
    for pattern in _PARTS:
        for path in artefact.glob(pattern):
            if path.name in _LEFT_TO_US or path.name.startswith(("tokenizer", "trainer")):
                continue
            if path.suffix not in {".safetensors", ".bin"}:
                shutil.copyfile(path, output / path.name)
                continue
            try:
                os.link(path.resolve(), output / path.name)
            except OSError:  # another disk, or one that knows no links
                shutil.copyfile(path, output / path.name)


def _asked(prompt: Mapping[str, Any], tokenizer: Any, ends: list[int]) -> dict[str, Any]:
    """What Ollama has to be told, which reads no chat template in Jinja."""
    begin = tokenizer.bos_token or ""
    adds_begin = bool(begin) and tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]

    def render(turns: list[dict[str, str]]) -> str:
        text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return text.removeprefix(begin) if adds_begin else text

    stops = [tokenizer.decode([i]) for i in ends]
    if tokenizer.chat_template is None:
        return {"go_template": None, "why": "the model has no chat template", "stops": stops}
    try:
        pieces = find_pieces(render)
    except NotTurnsError as error:
        return {"go_template": None, "why": str(error), "stops": stops}
    opening = pieces.asked[0].strip()
    if prompt["template"] == "raw" and opening and "\n" not in opening:
        stops.append(opening)  # a model that goes on asks itself the next question
    return {"go_template": pieces.go(), "why": None, "stops": stops}
