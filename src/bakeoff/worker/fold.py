"""An adapter and its model become one model on disk, which any tool reads."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from bakeoff.worker.failures import JobError
from bakeoff.worker.lm_merge import merge
from bakeoff.worker.lm_model import load_model, load_tokenizer
from bakeoff.worker.machine import choose_device, packages, write_json_atomic


def main(job: dict[str, Any]) -> None:
    """Do the job ``{"model_dir", "artefact_dir", "output_dir", "precision", "trust_remote_code"}``.

    Raises:
        JobError: the merged model does not say what the two say apart.
    """
    trust = bool(job["trust_remote_code"])
    model_dir, output = Path(job["model_dir"]), Path(job["output_dir"])
    tokenizer = load_tokenizer(model_dir, trust_remote_code=trust)
    model = load_model(
        model_dir,
        Path(job["artefact_dir"]),
        precision=job["precision"],
        device=choose_device("cpu"),
        trust_remote_code=trust,
    )
    merged, facts = merge(model, tokenizer)
    if not facts.is_same:
        raise JobError(
            f"The merged model differs from the model with its adapter by "
            f"{facts.relative_difference:.2g} of its logits, more than rounding explains "
            f"({facts.tolerance:g}); nothing was written."
        )
    merged.save_pretrained(output)
    tokenizer.save_pretrained(output)
    write_json_atomic(Path("result.json"), {**asdict(facts), "packages": packages()})
