"""What the translation of a training has in common for frameworks on top of transformers."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar

from bakeoff.backends.frameworks.config_text import Section, yaml_text
from bakeoff.interfaces import Inputs
from bakeoff.schema.events import Event, read_events_file
from bakeoff.schema.plan import Dialect, Distribution, Launch, Problem, TrainPlan
from bakeoff.schema.recipe_train import ADAPTER_METHODS
from bakeoff.schema.results import TrainResult
from bakeoff.worker_launch import OFFLINE, spread_of, worker_launch

OUTPUT_DIR = "trainer"
"""Where the framework keeps checkpoints and logs, in the run directory; gone in the end."""

ROWS_FILE = "train.jsonl"
"""The rows in the framework's form, in the order of training; the worker writes it."""

SCHEDULERS = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
"""The recipe's schedules in transformers' words, where `constant` would leave the warm-up out."""


OPTIMIZERS = {"adamw": "adamw_torch", "adamw-8bit": "adamw_8bit"}
"""The recipe's optimisers in transformers' words."""


def saves(plan: TrainPlan) -> bool:
    """Whether there are checkpoints.

    None with PiSSA: its adapter means nothing without the start that it is a change of, which
    neither framework finds again when it goes on from a checkpoint.
    """
    starts_elsewhere = plan.lora is not None and plan.lora.init == "pissa"
    return plan.train.save_every > 0 and not starts_elsewhere


DEEPSPEED_FILE = "deepspeed.json"

_FSDP_ENVIRONMENT = {"ACCELERATE_USE_FSDP": "true", "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT"}
"""That whole weights are saved has no key in transformers' trainer: accelerate reads it here."""

_AT_THE_END = 1_000_000
"""Steps between checkpoints; there is one after the last step in any case."""


def distribution_section(plan: TrainPlan, inputs: Inputs) -> Section:
    """Keys that both frameworks have from transformers; empty for one process."""
    told = inputs.distribution
    if told is None:
        return {}
    if told.dialect is Dialect.DEEPSPEED_JSON:
        return {"deepspeed": DEEPSPEED_FILE}
    backend = "gloo" if plan.device == "cpu" else None
    if told.dialect is Dialect.HF_FSDP:
        return {"ddp_backend": backend, **told.settings}
    return {
        "ddp_backend": backend,
        "ddp_find_unused_parameters": False,
        "ddp_broadcast_buffers": False,
    }


def uses_deepspeed(inputs: Inputs) -> bool:
    told = inputs.distribution
    return told is not None and told.dialect is Dialect.DEEPSPEED_JSON


def _environment_of(told: Distribution | None) -> Mapping[str, str]:
    """What the framework's own process needs beside its configuration."""
    return _FSDP_ENVIRONMENT if told is not None and told.dialect is Dialect.HF_FSDP else {}


class Framework:
    """One framework: its configuration file is rendered here, the worker completes and runs it.

    Only the rows tell how many steps there are, so that file says `num_train_epochs` and a share of
    warm-up steps at first; the worker puts the numbers there before it starts the framework.
    """

    environment: ClassVar[str | None]
    accepts: ClassVar[frozenset[Dialect]] = frozenset(
        {Dialect.PLAIN, Dialect.TORCHRUN, Dialect.HF_FSDP, Dialect.DEEPSPEED_JSON}
    )

    name: ClassVar[str]
    title: ClassVar[str]
    """As its authors write it."""

    config_file: ClassVar[str]
    command: ClassVar[str]
    """What a person runs in the run directory to do the same."""

    processes: ClassVar[str]
    """What stands before it for several processes, with ``{devices}`` and ``{nodes}``."""

    where_the_model_is: ClassVar[str]
    """For whoever runs an export: how the files name the model in ``{model_dir}``."""

    recipe_keys: ClassVar[Mapping[str, str]]
    """Of the framework's keys, those that the recipe has a key for, and that key."""

    plumbing: ClassVar[frozenset[str]]
    """Further keys that must stay, or the run would not be found, watched or compared."""

    files: ClassVar[Mapping[PurePosixPath, str]]
    """What the configuration file refers to."""

    sections: "ClassVar[staticmethod[[TrainPlan, Inputs], dict[str, Section]]]"
    """All of the framework's settings, by what they are about; None leaves a key out."""

    def check(self, plan: TrainPlan) -> Sequence[Problem]:
        return [*self._common_problems(plan), *self._extra_problems(plan)]

    def render(self, plan: TrainPlan, inputs: Inputs, run_dir: Path) -> Launch:
        return self._launch(plan, inputs, run_dir, only_prepare=False)

    def export(self, plan: TrainPlan, inputs: Inputs, run_dir: Path) -> Launch:
        """As ``render``, but everything is written and the framework is not started.

        It runs in any interpreter that holds `transformers`. The weights are saved at the end, even
        if the recipe wants no checkpoints: nobody else would save them.
        """
        train = plan.train.model_copy(update={"save_every": plan.train.save_every or _AT_THE_END})
        kept = plan.model_copy(update={"train": train})
        return self._launch(kept, inputs, run_dir, only_prepare=True)

    def _launch(
        self, plan: TrainPlan, inputs: Inputs, run_dir: Path, *, only_prepare: bool
    ) -> Launch:
        job = {
            "framework": self.name,
            "config_file": self.config_file,
            "model_dir": str(inputs.model_dir),
            "data_dir": str(inputs.data_dir),
            "method": plan.method,
            "seed": plan.seed,
            "device": plan.device,
            "trust_remote_code": plan.trust_remote_code,
            "train": plan.train.model_dump(mode="json"),
            "lora": plan.lora.model_dump(mode="json") if plan.lora is not None else None,
            "freeze": plan.freeze.model_dump(mode="json") if plan.freeze is not None else None,
            "extra": plan.extra,
            "probe": inputs.probe,
            "spread": spread_of(inputs.distribution),
            "only_prepare": only_prepare,
        }
        cache = run_dir / OUTPUT_DIR / "cache"
        env = {
            "TOKENIZERS_PARALLELISM": "true",
            "HF_DATASETS_CACHE": str(cache / "datasets"),
            "MODELSCOPE_CACHE": str(cache / "modelscope"),
            **OFFLINE,
        }
        told = inputs.distribution
        files = {PurePosixPath(self.config_file): self.config_text(plan, inputs), **self.files}
        if told is not None and told.dialect is Dialect.DEEPSPEED_JSON:
            text = json.dumps(told.settings, indent=2) + "\n"
            files[PurePosixPath(DEEPSPEED_FILE)] = text
        env |= _environment_of(told)
        world = told.world if told is not None and not only_prepare else None
        return worker_launch(
            "framework", job, python=inputs.python, env=env, files=files, world=world
        )

    def config_text(self, plan: TrainPlan, inputs: Inputs) -> str:
        """The configuration file, with the recipe's `extra` instead of our own choice."""
        rest = dict(plan.extra)
        sections: dict[str, Section] = {}
        for name, section in self.sections(plan, inputs).items():
            merged = {key: rest.pop(key, value) for key, value in section.items()}
            sections[name] = {key: value for key, value in merged.items() if value is not None}
        if rest:
            sections["The recipe's `extra`"] = rest
        return yaml_text(f"Run by hand: {self.command_for(inputs.distribution)}", sections)

    def command_for(self, told: Distribution | None) -> str:
        """What a person runs, on each machine where there are several."""
        if told is None:
            return self.command
        values = {"devices": told.world.devices_per_node, "nodes": told.world.num_nodes}
        words = [f"{name}={value}" for name, value in _environment_of(told).items()]
        return " ".join([*words, self.processes.format(**values), self.command])

    def read_events(self, run_dir: Path) -> Iterable[Event]:
        return read_events_file(run_dir / "events.jsonl")

    def read_result(self, run_dir: Path) -> TrainResult:
        return TrainResult.model_validate_json(
            (run_dir / "result.json").read_text(encoding="utf-8")
        )

    def _common_problems(self, plan: TrainPlan) -> Iterator[Problem]:
        if plan.method in ADAPTER_METHODS and plan.lora is None:
            yield Problem(
                key="lora",
                message=f"the method `{plan.method}` needs the settings of the adapter",
                hint="give `lora:`, or set `method: full`",
            )
        if plan.method == "freeze" and plan.freeze is None:
            yield Problem(
                key="freeze",
                message="the method `freeze` needs the number of layers that are trained",
                hint="give `freeze.trainable_layers`, or set `method: full`",
            )
        if plan.method == "qlora":
            yield from self._qlora_problems(plan)
        if plan.train.overlong not in ("drop", "error"):
            yield Problem(
                key="train.overlong",
                message=f"{self.title} is given rows as whole text; it cannot begin in the middle",
                hint="set `train.overlong: drop`, or raise `train.max_length`",
            )

    def _qlora_problems(self, plan: TrainPlan) -> Iterator[Problem]:
        if plan.device in ("cpu", "mps"):
            yield Problem(
                key="method",
                message=f"`qlora` needs an NVIDIA GPU; the recipe says `device: {plan.device}`",
                hint="set `method: lora`, or `device: cuda` where there is one",
            )
        if plan.train.precision != "bf16":
            yield Problem(
                key="train.precision",
                message=f"`qlora` computes in bf16; the recipe says `{plan.train.precision}`",
                hint="set `train.precision: bf16`",
            )
        if plan.lora is not None and plan.lora.init == "pissa":
            yield Problem(
                key="lora.init",
                message="PiSSA changes the model's own weights, which `qlora` keeps in 4 bits",
                hint="set `lora.init: default`, or `method: lora`",
            )

    def _extra_problems(self, plan: TrainPlan) -> Iterator[Problem]:
        for key in plan.extra:
            place = f"extra.{self.name}.{key}"
            if key in self.recipe_keys:
                yield Problem(
                    key=place,
                    message=f"bakeoff sets `{key}` of {self.title} from the recipe",
                    hint=f"use `{self.recipe_keys[key]}` instead",
                )
            elif key in self.plumbing:
                yield Problem(
                    key=place,
                    message=f"`{key}` of {self.title} has to stay as bakeoff sets it, or its runs "
                    "could not be watched, resumed and compared",
                    hint="leave it out",
                )
