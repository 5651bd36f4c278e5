"""Told by transformers' trainer what happens; writes it down as the built-in trainer does."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from transformers import TrainerCallback

from bakeoff.worker.events import Events
from bakeoff.worker.exchange import ExchangeWatch
from bakeoff.worker.failures import JobError
from bakeoff.worker.framework_checkpoints import FrameworkCheckpoints
from bakeoff.worker.framework_seen import Seen, StepCounts
from bakeoff.worker.group import Group
from bakeoff.worker.probe import Probe
from bakeoff.worker.settings import TrainSettings


@dataclass(eq=False)
class Watch(TrainerCallback):
    """The callback. One optimiser step is one step event; the trainer must log every step."""

    settings: TrainSettings
    events: Events
    seen: Seen
    checkpoints: FrameworkCheckpoints
    num_steps: int
    validate: Callable[[Any, int], None]
    """Writes the validation loss of a model after so many steps."""

    at_end: Callable[[Any, Any, Any], None]
    """Is given the trainer's arguments, the model and the optimiser when all steps are done."""

    probe: Probe | None = None
    exchange: ExchangeWatch | None = None
    group: Group = field(default_factory=Group)

    _done: int = 0
    _is_corrected: bool = False
    _rate: float | None = None
    _since: float = field(default_factory=time.perf_counter)

    def on_train_begin(self, args: Any, state: Any, control: Any, **its: Any) -> None:
        self._done = state.global_step
        if self._done:
            self.events.resume(self._done)
        else:
            if self.events.has_steps():
                self.events.resume(0)
            self.validate(its["model"], 0)
        self.seen.watch(its["model"])
        if self.probe is not None:
            self.probe.watch(its["model"], tokenizer=its["processing_class"])
            self.probe.read_rows_of(its["model"])
        self._train()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **its: Any) -> None:
        self.group.tell(f"the update of step {state.global_step + 1}")
        self._rate = its["optimizer"].param_groups[0]["lr"]

    def on_step_begin(self, args: Any, state: Any, control: Any, **its: Any) -> None:
        self.group.tell(f"step {state.global_step + 1}")
        if self.exchange is not None:
            self.exchange.begin(state.global_step + 1)

    def on_step_end(self, args: Any, state: Any, control: Any, **its: Any) -> None:
        if self.exchange is not None:
            self.exchange.end()
        if state.global_step >= self.num_steps:
            # What is kept of the end is the artefact; a checkpoint would hold the optimiser too.
            control.should_save = False

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **its: Any
    ) -> None:
        if not logs or "loss" not in logs or state.global_step <= self._done:
            return
        seconds = time.perf_counter() - self._since
        self._done = state.global_step
        self._write_step(float(logs["loss"]), logs.get("grad_norm"), seconds)
        every = self.settings.validate_every
        if self._done == self.num_steps or (every and self._done % every == 0):
            self.validate(its["model"], self._done)
            self._train_on()
        if control.should_save:
            self.events.phase("save")
        self._since = time.perf_counter()

    def on_save(self, args: Any, state: Any, control: Any, **its: Any) -> None:
        if state.global_step < self.num_steps:
            self.checkpoints.keep(state.global_step)
            self._train_on()

    def on_train_end(self, args: Any, state: Any, control: Any, **its: Any) -> None:
        self.events.phase("save")
        self.at_end(args, its["model"], its["optimizer"])

    def _write_step(self, loss: float, grad_norm: Any, seconds: float) -> None:
        norm = None if grad_norm is None else float(grad_norm)
        counts = self.seen.end_step(self._done)
        loss *= self._correction(counts)
        if not math.isfinite(loss) or (norm is not None and not math.isfinite(norm)):
            raise JobError(
                f"The training diverged: at step {self._done} the loss was {loss} and the gradient "
                f"norm {norm}. Lower `train.learning_rate`, or use `train.precision: fp32`."
            )
        self.events.step(
            step=self._done,
            num_steps=self.num_steps,
            loss=loss,
            learning_rate=self._rate,
            grad_norm=norm,
            seconds=seconds,
            num_rows=counts.num_rows,
            num_tokens=counts.num_tokens,
            num_label_tokens=counts.num_label_tokens,
        )

    def _correction(self, counts: StepCounts) -> float:
        """Makes the framework's loss a mean over the label tokens that are predicted.

        transformers before 5.19 counts the first token of a row as well where it has a label.
        """
        if counts.divisor in (None, counts.num_label_tokens) or counts.num_label_tokens == 0:
            return 1.0
        if not self._is_corrected:
            self._is_corrected = True
            self.events.warning(
                f"The framework divides the loss of a step by {counts.divisor} tokens, of which "
                f"{counts.num_label_tokens} are predicted. The losses shown are per predicted "
                "token; its gradients and their norms are smaller by the same factor."
            )
        return float(counts.divisor or 1) / counts.num_label_tokens

    def _train_on(self) -> None:
        if self._done < self.num_steps:
            self._train()

    def _train(self) -> None:
        self.events.phase("train")
        self._since = time.perf_counter()
