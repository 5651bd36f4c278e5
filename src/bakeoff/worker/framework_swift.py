"""ms-swift 4.6.0, from inside its environment."""

import json
from pathlib import Path
from typing import Any

from bakeoff.worker.failures import JobError
from bakeoff.worker.framework_config import plain_values
from bakeoff.worker.framework_job import FrameworkJob
from bakeoff.worker.framework_rows import FixedTexts, Sequence, beginning_text, write_messages
from bakeoff.worker.ranks import rank_here
from bakeoff.worker.rows import read_rows
from bakeoff.worker.whole import names_to_save, whole_tensors

LEFT_BEHIND = ("__pycache__",)
DEALS_ROWS = True


def write_rows(path: Path, job: FrameworkJob, tokenizer: Any, kept: Sequence) -> None:
    """Our template adds the tokenizer's own first token and the end-of-sequence token."""
    # An answer that ends so already gets no end-of-sequence token, which would be learned.
    end = {"role": "assistant", "content": str(tokenizer.eos_token), "loss": False}
    filler: list[dict[str, Any]] = [{"role": "user", "content": ""}, end]
    raw = read_rows(job.data_dir / "train.jsonl")
    known = beginning_text(tokenizer)
    write_messages(path, raw, kept, FixedTexts("", "", known=known, filler=filler))


def settings(job: FrameworkJob, _: Path) -> dict[str, Any]:
    """The kind of model, which ms-swift cannot tell for every architecture, and frozen layers."""
    config = _read_json(job.model_dir / "config.json")
    tokenizer = _read_json(job.model_dir / "tokenizer_config.json")
    if ("auto_map" in config or "auto_map" in tokenizer) and not job.trust_remote_code:
        raise JobError(
            "The model brings Python code of its own, which ms-swift runs without asking. Set "
            "`model.trust_remote_code: true` if you trust it, or use another backend."
        )
    return {"model_type": model_type(config), **_trained_layers(job, config)}


def load() -> None:
    from swift.pipelines import SwiftSft  # noqa: F401


def run(config: Path, watch: Any) -> dict[str, Any]:
    """Do what ``swift sft`` does on one device."""
    from swift.cli.main import parse_yaml_args
    from swift.pipelines import SwiftSft
    from transformers import trainer

    trainer.DEFAULT_CALLBACKS = [*trainer.DEFAULT_CALLBACKS, watch]
    arguments = [str(config)]
    parse_yaml_args(arguments)
    pipeline = SwiftSft(arguments)
    pipeline.main()
    return plain_values(vars(pipeline.args))


def save(model: Any, folder: Path) -> Path:
    """ms-swift keeps the last weights in a checkpoint only, which is not written at the end.

    A PiSSA adapter becomes one of the untouched model, from where it started (``initial_model``).
    """
    options: dict[str, Any] = {}
    is_adapter = hasattr(model, "peft_config")
    if is_adapter:
        options["save_embedding_layers"] = False
    parts = names_to_save(model, is_adapter=is_adapter)
    if any(hasattr(part, "ds_id") or hasattr(part, "full_tensor") for part in parts.values()):
        options["state_dict"] = whole_tensors(parts, keep=rank_here() == 0)
    if rank_here() > 0:
        return folder / "last"
    start = folder / "initial_model"
    if start.exists():
        options["path_initial_model_for_weight_conversion"] = str(start)
    model.save_pretrained(folder / "last", **options)
    return folder / "last"


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def model_type(config: dict[str, Any]) -> str | None:
    """One of ms-swift's kinds for the architecture; they differ in templates, which we set.

    Where an export is made without ms-swift, transformers' own word, which is most often one.
    """
    try:
        from swift.model.model_meta import get_matched_model_types
    except ImportError:
        return str(config["model_type"])

    kinds = sorted(get_matched_model_types(config.get("architectures")))
    return config["model_type"] if config["model_type"] in kinds else next(iter(kinds), None)


def _trained_layers(job: FrameworkJob, config: dict[str, Any]) -> dict[str, str]:
    if job.freeze is None:
        return {}
    num_layers = int(config["num_hidden_layers"])
    first = max(0, num_layers - job.freeze.trainable_layers)
    numbers = "|".join(map(str, range(first, num_layers)))
    return {"trainable_parameters_regex": rf".*\.({numbers})\..*"}
