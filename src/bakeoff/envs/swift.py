"""ms-swift."""

import json
from pathlib import PurePosixPath

from bakeoff.envs.spec import DEEPSPEED, TEXT_ONLY, TORCH, EnvSpec, Trial
from bakeoff.schema.plan import Launch


def _trial(trial: Trial) -> Launch:
    settings = {
        "model": str(trial.model_dir),
        "model_type": "llama",
        "template": "dummy",
        # Otherwise it asks ModelScope whether the model on disk is the newest.
        "check_model": False,
        "tuner_type": "lora",
        "lora_rank": 4,
        "torch_dtype": "float32",
        "dataset": "rows.jsonl",
        "max_length": 128,
        "output_dir": str(trial.output_dir),
        "add_version": False,
        "max_steps": trial.num_steps,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 1,
        "dataloader_num_workers": 0,
        "logging_steps": 1,
        "save_steps": trial.num_steps,
        "report_to": "none",
    }
    rows = [
        {
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer},
            ]
        }
        for question, answer in trial.rows
    ]
    return Launch(
        argv=(str(trial.python), "-m", "swift.cli.main", "sft", "trial.json"),
        files={
            PurePosixPath("trial.json"): json.dumps(settings),
            PurePosixPath("rows.jsonl"): "".join(json.dumps(row) + "\n" for row in rows),
        },
    )


SPEC = EnvSpec(
    name="swift",
    distribution="ms-swift",
    requirements=(
        "ms-swift>=4.6.0",
        TORCH,
        'bitsandbytes>=0.46 ; sys_platform != "darwin"',
        DEEPSPEED,
    ),
    overrides=TEXT_ONLY,
    imports=("swift.pipelines.train.sft",),
    num_bytes=6_000_000_000,
    trial=_trial,
)
