"""LLaMA-Factory 0.9.5, from inside its environment."""

import json
import shutil
from pathlib import Path
from typing import Any

from bakeoff.worker.framework_config import plain_values
from bakeoff.worker.framework_job import FrameworkJob
from bakeoff.worker.framework_rows import FixedTexts, Sequence, beginning_text, write_messages
from bakeoff.worker.rows import read_rows

LEFT_BEHIND = ("model",)
DEALS_ROWS = False
_WEIGHT_TYPES = {"bf16": "bfloat16", "bf16-mixed": "float32", "fp32": "float32"}


def write_rows(path: Path, job: FrameworkJob, tokenizer: Any, kept: Sequence) -> None:
    """The template `empty` adds no token, so the text itself holds the first and the last."""
    begin, end = beginning_text(tokenizer), str(tokenizer.eos_token)
    filler = [{"role": "user", "content": end}, {"role": "assistant", "content": ""}]
    raw = read_rows(job.data_dir / "train.jsonl")
    write_messages(path, raw, kept, FixedTexts(begin, end, known=begin, filler=filler))


def settings(job: FrameworkJob, run_dir: Path) -> dict[str, Any]:
    """The configuration is whole; only the model's folder is missing."""
    link_model(job.model_dir, run_dir / "model", _WEIGHT_TYPES[job.train.precision])
    return {}


def load() -> None:
    from llamafactory.train import tuner  # noqa: F401


def run(config: Path, watch: Any) -> dict[str, Any]:
    """Do what ``llamafactory-cli train`` does on one device."""
    import torch
    from llamafactory.hparams import parser
    from llamafactory.train import tuner
    from omegaconf import OmegaConf

    values = OmegaConf.to_container(OmegaConf.load(config))
    if not torch.cuda.is_available():
        # A CPU computes in bf16 as well; LLaMA-Factory asks only whether a GPU does.
        parser.is_torch_bf16_gpu_available = lambda: True
    resolved: list[Any] = []
    parse = tuner.get_train_args

    def keep_resolved(arguments: Any) -> Any:
        parsed = parse(arguments)
        resolved.extend(parsed)
        return parsed

    tuner.get_train_args = keep_resolved
    tuner.run_exp(values, callbacks=[watch])
    merged = {key: value for part in resolved for key, value in vars(part).items()}
    return plain_values(merged)


def save(model: Any, folder: Path) -> Path:
    """LLaMA-Factory saves the model itself; a PiSSA adapter it makes one of the untouched model."""
    config = getattr(model, "peft_config", {}).get("default")
    is_pissa = str(getattr(config, "init_lora_weights", "")).startswith("pissa")
    return folder / "pissa_converted" if is_pissa else folder


def link_model(source: Path, folder: Path, weight_type: str) -> None:
    """The model's files in a folder of ours, its configuration naming another type of weights."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in source.iterdir():
        if path.name != "config.json":
            _link(path, folder / path.name)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    config.pop("torch_dtype", None)
    config["dtype"] = weight_type
    text = json.dumps(config, ensure_ascii=False, indent=2)
    (folder / "config.json").write_text(text, encoding="utf-8", newline="\n")


def _link(path: Path, link: Path) -> None:
    """Windows lets not everybody make links."""
    try:
        link.symlink_to(path.resolve(), target_is_directory=path.is_dir())
    except OSError:
        if path.is_dir():
            shutil.copytree(path, link)
        else:
            shutil.copyfile(path, link)
