"""Small real trainings for the tests of the worker."""

import json
from pathlib import Path
from typing import Any

from tests import tiny

from bakeoff.schema.recipe_train import LoraSpec, TrainSpec


def write_data(folder: Path, *, num_train: int = 12, num_validation: int = 4) -> Path:
    """Data in the form that the core prepares: Chinese and English rows of different lengths."""
    folder.mkdir(parents=True, exist_ok=True)
    made = tiny.rows(num_train + num_validation)
    for split, part in (("train", made[:num_train]), ("validation", made[num_train:])):
        lines = [json.dumps(_row(index, row), ensure_ascii=False) for index, row in enumerate(part)]
        (folder / f"{split}.jsonl").write_text(
            "".join(f"{line}\n" for line in lines), encoding="utf-8"
        )
    return folder


def _row(index: int, row: dict[str, str]) -> dict[str, Any]:
    return {
        "id": f"row-{index}",
        "prompt": row["question"],
        "response": row["answer"],
        "segments": [
            {"text": f"Question: {row['question']}\nAnswer:", "loss": False},
            {"text": f" {row['answer']}", "loss": True},
        ],
    }


def job(
    model_dir: Path,
    data_dir: Path,
    *,
    method: str = "lora",
    seed: int = 0,
    trust_remote_code: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """A job file; ``settings`` are fields of TrainSpec, or of LoraSpec with ``lora_`` before."""
    lora = {
        name.removeprefix("lora_"): settings.pop(name)
        for name in list(settings)
        if name.startswith("lora_")
    }
    train = {"precision": "fp32", "batch_size": 4, "learning_rate": 1e-2, **settings}
    return {
        "model_dir": str(model_dir),
        "data_dir": str(data_dir),
        "method": method,
        "seed": seed,
        "device": "cpu",
        "trust_remote_code": trust_remote_code,
        "train": TrainSpec(**train).model_dump(mode="json"),
        "lora": LoraSpec(**{"rank": 4, **lora}).model_dump(mode="json")
        if method == "lora"
        else None,
    }


def read_events(run_dir: Path, kind: str) -> list[dict[str, Any]]:
    lines = (run_dir / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


def losses(run_dir: Path) -> dict[int, tuple[float, float]]:
    """Loss and gradient norm by step; of a step done twice, the last."""
    return {
        event["step"]: (event["loss"], event["grad_norm"]) for event in read_events(run_dir, "step")
    }
