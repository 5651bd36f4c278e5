"""What Ollama is told of a model: its Modelfile, and the line that makes a model of it."""

import json
from collections.abc import Mapping
from typing import Any

from bakeoff.base.errors import UserError
from bakeoff.schema.recipe_subject import PromptSpec

_LONGEST_CONTEXT = 4096
"""Ollama takes memory for all of it when it loads a model."""


def modelfile(
    prompt: PromptSpec, asked: Mapping[str, Any], config: Mapping[str, Any], weights: str
) -> str:
    """As Ollama reads it: weights, template, where answers end, and greedy as the scores were.

    Args:
        prompt: Of the training.
        asked: By the worker: `go_template` and `stops`.
        config: Of the model.
        weights: Name of the GGUF file beside it.

    Raises:
        UserError: A text cannot be written in a Modelfile.
    """
    lines = [f"FROM ./{weights}", f"TEMPLATE {_quoted(asked['go_template'])}"]
    if prompt.system is not None:
        lines.append(f"SYSTEM {_quoted(prompt.system)}")
    lines += [f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}" for stop in asked["stops"]]
    lines.append("PARAMETER temperature 0")
    if context := config.get("max_position_embeddings"):
        lines.append(f"PARAMETER num_ctx {min(int(context), _LONGEST_CONTEXT)}")
    return "\n".join(lines) + "\n"


def create_line(name: str, quant: str | None) -> str:
    """To be typed in the exported folder."""
    quantised = "" if quant is None else f" --quantize {quant[0]}{quant[1:].upper()}"
    return f"ollama create {name} -f Modelfile{quantised}"


def ollama_note(name: str, quant: str | None) -> str:
    """For the card."""
    return f"In this folder:\n\n    {create_line(name, quant)}\n    ollama run {name}\n"


def _quoted(text: str) -> str:
    if '"""' in text:
        raise UserError('a Modelfile cannot hold a text with `"""` in it', hint="`--to gguf` can")
    return f'"""{text}"""'
