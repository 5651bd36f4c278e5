"""LLaMA-Factory."""

import json
from pathlib import PurePosixPath

from bakeoff.envs.spec import DEEPSPEED, TEXT_ONLY, TORCH, EnvSpec, Trial
from bakeoff.schema.plan import Launch


def _trial(trial: Trial) -> Launch:
    settings = {
        "stage": "sft",
        "do_train": True,
        "model_name_or_path": str(trial.model_dir),
        "finetuning_type": "lora",
        "lora_rank": 4,
        "dataset": "trial",
        "dataset_dir": ".",
        "template": "empty",
        "cutoff_len": 128,
        "output_dir": str(trial.output_dir),
        "max_steps": trial.num_steps,
        "per_device_train_batch_size": 2,
        "logging_steps": 1,
        "save_steps": trial.num_steps,
        "report_to": "none",
    }
    rows = [
        {"instruction": question, "input": "", "output": answer} for question, answer in trial.rows
    ]
    files = {
        "trial.yaml": settings,
        "dataset_info.json": {"trial": {"file_name": "rows.json"}},
        "rows.json": rows,
    }
    return Launch(
        argv=(str(trial.python), "-m", "llamafactory.cli", "train", "trial.yaml"),
        files={PurePosixPath(name): json.dumps(value) for name, value in files.items()},
    )


SPEC = EnvSpec(
    name="llamafactory",
    distribution="llamafactory",
    requirements=(
        "llamafactory>=0.9.5",
        TORCH,
        # Only for its web page, but an older one holds back half of the others.
        "gradio>=5.50",
        'bitsandbytes>=0.46 ; sys_platform != "darwin"',
        DEEPSPEED,
    ),
    overrides=TEXT_ONLY,
    # Imported at the top of data/mm_plugin.py, used where a row has sound.
    stand_ins=("torchaudio",),
    imports=("llamafactory.train.tuner",),
    num_bytes=6_000_000_000,
    trial=_trial,
)
