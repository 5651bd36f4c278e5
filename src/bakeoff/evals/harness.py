"""What the engines that run under lm-evaluation-harness in bakeoff's own environment share."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from bakeoff.evals.prompt_check import check_prompt
from bakeoff.evals.task_file import TASK_NAME, asks_by_chat_template, render_task_file
from bakeoff.interfaces import Inputs
from bakeoff.schema.chat_template import CHAT_DATE
from bakeoff.schema.events import Event, read_events_file
from bakeoff.schema.plan import OWN_TASK, EvalPlan, Launch, Problem, World
from bakeoff.schema.results import EvalResult
from bakeoff.worker_launch import OFFLINE, worker_launch

_TASK_FOLDER = PurePosixPath("task")
_AS_LONG_AS_IT_TAKES = str(30 * 24 * 3600)


class HarnessEngine:
    """Translates an evaluation into a job of ``bakeoff.worker.evaluate``, which knows its name."""

    requirements: ClassVar[tuple[str, ...]] = (
        "datasets>=4",
        "lm-eval>=0.4.13",
        "peft>=0.18",
        "torch>=2.8",
        "transformers>=5",
    )

    environment: ClassVar[str | None] = None

    def check(self, plan: EvalPlan) -> Sequence[Problem]:
        if plan.world_size > 1 and plan.device == "mps":
            return [
                Problem(
                    key="evaluate.world_size",
                    message="a Mac has one GPU, which several processes would slow down",
                    hint="set `evaluate.world_size: 1`",
                )
            ]
        if plan.task == OWN_TASK:
            return check_prompt(plan.prompt)
        if not all(letter.isalnum() or letter in "_-." for letter in plan.task):
            # The harness would expand a pattern to many tasks, and take a path for a file.
            return [
                Problem(
                    key="evaluate.tasks",
                    message=f"`{plan.task}` is not the name of a task",
                    hint="write `data`, or a name that `lm_eval ls tasks` lists, such as `gsm8k`",
                )
            ]
        return []

    def render(self, plan: EvalPlan, inputs: Inputs, run_dir: Path) -> Launch:
        own = plan.task == OWN_TASK
        files = {}
        if own:
            files[_TASK_FOLDER / f"{TASK_NAME}.yaml"] = render_task_file(
                data_dir=inputs.data_dir,
                has_validation=inputs.has_validation,
                asked_split=plan.split,
                prompt=plan.prompt,
                num_fewshot=plan.num_fewshot,
                generation=generation_settings(plan),
            )
        local = own or plan.task_data is not None
        env = {"TOKENIZERS_PARALLELISM": "false", **(OFFLINE if local else {})}
        world = None
        if plan.world_size > 1:
            # The first that is done waits for the last, however long that takes.
            env["BAKEOFF_EXCHANGE_SECONDS"] = _AS_LONG_AS_IT_TAKES
            world = World(devices_per_node=plan.world_size)
        return worker_launch(
            "evaluate", _job(plan, inputs), python=inputs.python, env=env, files=files, world=world
        )

    def read_events(self, run_dir: Path) -> Iterator[Event]:
        return read_events_file(run_dir / "events.jsonl")

    def read_result(self, run_dir: Path) -> EvalResult:
        """What a finished evaluation left.

        Raises:
            FileNotFoundError: the evaluation did not finish.
        """
        return EvalResult.model_validate_json((run_dir / "result.json").read_text(encoding="utf-8"))


def _job(plan: EvalPlan, inputs: Inputs) -> dict[str, Any]:
    own = plan.task == OWN_TASK
    return {
        "engine": plan.engine,
        "model_dir": str(inputs.model_dir),
        "artefact_dir": None if inputs.artefact_dir is None else str(inputs.artefact_dir),
        "task": TASK_NAME if own else plan.task,
        "task_label": plan.task,
        "task_dir": str(_TASK_FOLDER) if own else None,
        "include_path": plan.include_path,
        "task_data": plan.task_data,
        "num_fewshot": plan.num_fewshot,
        "limit": plan.limit,
        "generation": generation_settings(plan),
        "batch_size": plan.batch_size,
        "precision": plan.precision,
        "merged": plan.merged,
        "device": plan.device,
        "seed": plan.seed,
        "trust_remote_code": plan.trust_remote_code,
        "prompt_template": plan.prompt.template,
        "trained_prompt": plan.trained_prompt and plan.trained_prompt.model_dump(mode="json"),
        "trained_rows": None if inputs.trained_rows is None else str(inputs.trained_rows),
        "chat": _chat(plan),
    }


def generation_settings(plan: EvalPlan) -> dict[str, Any]:
    """What the plan says in place of what a task says, in the harness's words."""
    settings: dict[str, Any] = {}
    if plan.max_new_tokens is not None:
        settings["max_gen_toks"] = plan.max_new_tokens
    if plan.temperature > 0:
        settings |= {"do_sample": True, "temperature": plan.temperature, "top_p": plan.top_p}
    if plan.until is not None:
        settings["until"] = list(plan.until)
    return settings


def _chat(plan: EvalPlan) -> dict[str, Any] | None:
    """How the harness puts a question into a chat; None: the prompt stands as the task has it."""
    prompt = plan.prompt
    own = plan.task == OWN_TASK
    if not asks_by_chat_template(prompt, own=own, num_fewshot=plan.num_fewshot):
        return None
    return {
        "template": None if prompt.template == "chat" else prompt.template,
        "system": prompt.system,
        "date": CHAT_DATE,
    }
