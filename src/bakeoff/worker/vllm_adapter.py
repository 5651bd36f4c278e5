"""The room that vLLM makes for an adapter."""

import json
from pathlib import Path

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Of adapters, that vLLM makes room for."""


def max_rank_of(artefact: Path | None) -> int | None:
    """The smallest that vLLM allows and that holds the adapter's; None: it is no adapter."""
    if artefact is None or not (config := artefact / "adapter_config.json").is_file():
        return None
    rank = int(json.loads(config.read_text(encoding="utf-8"))["r"])
    return next((size for size in _RANKS if size >= rank), rank)
