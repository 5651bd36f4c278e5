"""Rows become token ids and labels, by the built-in way or by a framework's own code, timed.

Everything up to the loaded tokenizer is the start; then the file is read, checked, tokenised and
masked. The digest over all rows, whatever their order, says whether all made the same.
"""

import hashlib
import json
import time
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bakeoff.worker.machine import packages, write_json_atomic

TEMPLATE = "bakeoff_plain"
Encoded = Iterable[tuple[list[int], list[int]]]
"""Token ids and labels, a row after the other."""


def main(job: dict[str, Any], run_dir: Path = Path()) -> None:
    """Prepare the rows as the job's `backend` does; leaves ``result.json``."""
    prepare = _WAYS[job["backend"]](job)
    ready_at = time.time()
    encoded = prepare()
    done_at = time.time()
    hashes, num_tokens, num_labels = [], 0, 0
    for token_ids, labels in encoded:
        num_tokens += len(token_ids)
        num_labels += sum(label >= 0 for label in labels)
        row = array("q", token_ids).tobytes() + array("q", labels).tobytes()
        hashes.append(hashlib.sha256(row).digest())
    result = {
        "ready_at": ready_at,
        "done_at": done_at,
        "num_rows": len(hashes),
        "num_tokens": num_tokens,
        "num_labels": num_labels,
        "digest": hashlib.sha256(b"".join(sorted(hashes))).hexdigest(),
        "packages": packages(),
    }
    write_json_atomic(run_dir / "result.json", result)


def _builtin(job: dict[str, Any]) -> Callable[[], Encoded]:
    """The second half of it: `bakeoff.data.prepare` has read, checked and written the rows."""
    import contextlib

    from bakeoff.worker.events import Events
    from bakeoff.worker.settings import read_job
    from bakeoff.worker.train import load_rows, load_tokenizer

    training = read_job(job["training"])
    tokenizer = load_tokenizer(training)

    def prepare() -> Encoded:
        with contextlib.closing(Events(Path("events.jsonl"))) as events:
            train, _ = load_rows(training, tokenizer, events)
        return ((row.token_ids, row.labels) for row in train.rows)

    return prepare


def _llamafactory(job: dict[str, Any]) -> Callable[[], Encoded]:
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.data.template import register_template
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    register_template(name=TEMPLATE)  # nothing but the answer's end-of-sequence token
    model, data, training, *_ = get_train_args(
        {
            "model_name_or_path": job["model_dir"],
            "stage": "sft",
            "do_train": True,
            "dataset_dir": job["data_dir"],
            "dataset": "train",
            "template": TEMPLATE,
            # It cuts a row that fits exactly: one token to spare, as in a training.
            "cutoff_len": job["max_length"] + 1,
            "preprocessing_num_workers": job["num_processes"],
            "overwrite_cache": True,
            "output_dir": "trainer",
            "report_to": "none",
        }
    )
    module = load_tokenizer(model)
    template = get_template_and_fix_tokenizer(module["tokenizer"], data)

    def prepare() -> Encoded:
        found = get_dataset(template, model, data, training, stage="sft", **module)
        return _columns(found["train_dataset"])

    return prepare


def _swift(job: dict[str, Any]) -> Callable[[], Encoded]:
    from swift.dataset import EncodePreprocessor, load_dataset
    from swift.model import get_processor
    from swift.template import TemplateMeta, get_template, register_template

    from bakeoff.worker.framework_swift import model_type

    register_template(
        TemplateMeta(
            TEMPLATE,
            prefix=[],
            prompt=["{{QUERY}}"],
            chat_sep=[],
            suffix=[["eos_token_id"]],
            auto_add_bos=True,
        )
    )
    config = json.loads((Path(job["model_dir"]) / "config.json").read_text(encoding="utf-8"))
    processor = get_processor(job["model_dir"], model_type=model_type(config))
    template = get_template(
        processor, max_length=job["max_length"], template_type=TEMPLATE, loss_scale="default"
    )
    template.set_mode("train")

    def prepare() -> Encoded:
        num_proc = job["num_processes"] or 1
        options = {"num_proc": num_proc, "load_from_cache_file": False, "strict": True}
        train, _ = load_dataset([str(Path(job["data_dir"]) / "train.jsonl")], **options)
        return _columns(EncodePreprocessor(template=template)(train, **options))

    return prepare


def _columns(dataset: Any) -> Encoded:
    for start in range(0, len(dataset), 1000):
        part = dataset[start : start + 1000]
        yield from zip(part["input_ids"], part["labels"], strict=True)


_WAYS: dict[str, Callable[[dict[str, Any]], Callable[[], Encoded]]] = {
    "builtin": _builtin,
    "llamafactory": _llamafactory,
    "swift": _swift,
}
