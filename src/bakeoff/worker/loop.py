"""The training loop."""

import math
import time
from dataclasses import dataclass

import torch

from bakeoff.worker.batches import Batch, Order
from bakeoff.worker.checkpoint import Checkpoints, restore
from bakeoff.worker.events import Events
from bakeoff.worker.failures import JobError
from bakeoff.worker.lanes import Lanes, share_out
from bakeoff.worker.modelling import Trainee
from bakeoff.worker.optimizer import clip_gradients
from bakeoff.worker.probe import Probe
from bakeoff.worker.rows import Row, RowList
from bakeoff.worker.schedule import rate_factor
from bakeoff.worker.settings import TrainSettings
from bakeoff.worker.watch_answers import Watch


@dataclass
class Loop:
    """Everything that the steps of one training need."""

    trainee: Trainee
    optimizer: torch.optim.Optimizer
    settings: TrainSettings
    rows: RowList
    validation_rows: RowList
    order: Order
    num_steps: int
    num_warmup_steps: int
    device: torch.device
    events: Events
    checkpoints: Checkpoints
    probe: Probe | None = None
    watch: Watch | None = None
    lanes: Lanes | None = None
    """None: one pass after the other."""

    def run(self) -> None:
        """Train from the last checkpoint, or from the start, to the last step."""
        if self.trainee.num_lanes > 1:
            self.lanes = Lanes(self.trainee.num_lanes)
        done = self._resume()
        if done == 0:
            self._validate(0)
            self._ask(0)
        self.events.phase("train")
        for indices in self.order.steps(done, self.num_steps):
            self._step(done, [self.rows[index] for index in indices])
            done += 1
            self._after_step(done)
        if self.lanes is not None:
            self.lanes.close()

    def _resume(self) -> int:
        """Number of steps that are done already."""
        newest = self.checkpoints.newest(self.trainee.trained, self.events.warning)
        if newest is None:
            self.checkpoints.remove_all()  # of another job, or not whole
            if self.events.has_steps():
                self.events.resume(0)
            return 0
        restore(newest, self.trainee.trained, self.optimizer)
        self.events.resume(newest.step)
        return newest.step

    def _step(self, done: int, rows: list[Row]) -> None:
        """One optimiser step over ``rows``, after ``done`` steps."""
        start = time.perf_counter()
        rate = self._set_rate(done)
        num_targets = sum(row.num_targets for row in rows)
        self.trainee.model.train()
        parameters = list(self.trainee.trained.values())
        if self.lanes is None:
            total = self._backward(rows, num_targets)
        else:
            # Rows that pass side by side have no order; the probe is told that of the step.
            self._tell_probe(self.trainee.make_batch(rows))
            shares = share_out(rows, self.lanes.num_lanes, self.settings.batch_size)
            batches = [[self.trainee.make_batch(rows) for rows in share] for share in shares]
            total = self.lanes.backward(
                batches, parameters, lambda batch: self.trainee.cross_entropy(batch, num_targets)
            )
        norm = clip_gradients(parameters, self.settings.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        # Reading the values waits for the device, so that the time holds all of the step.
        loss_value, norm_value = torch.stack([total, norm.float()]).tolist()
        seconds = time.perf_counter() - start
        _require_finite(loss_value, norm_value, done + 1)
        self.events.step(
            step=done + 1,
            num_steps=self.num_steps,
            loss=loss_value,
            learning_rate=rate,
            grad_norm=norm_value,
            seconds=seconds,
            num_rows=len(rows),
            num_tokens=sum(len(row.token_ids) for row in rows),
            num_label_tokens=num_targets,
        )

    def _backward(self, rows: list[Row], num_targets: int) -> torch.Tensor:
        """One pass after the other; the sum of their losses."""
        total = torch.zeros((), device=self.device)
        for portion in self.trainee.portions(rows, self.settings.batch_size):
            batch = self.trainee.make_batch(portion)
            self._tell_probe(batch)
            loss = self.trainee.cross_entropy(batch.to(self.device), num_targets)
            loss.backward()
            total += loss.detach()
        return total

    def _tell_probe(self, batch: Batch) -> None:
        if self.probe is not None:
            self.probe.rows(*batch.rows())
            if self.trainee.decoder is not None:
                self.probe.logits(len(batch.targets))

    def _set_rate(self, done: int) -> float:
        rate = self.settings.learning_rate * rate_factor(
            done,
            scheduler=self.settings.scheduler,
            num_steps=self.num_steps,
            num_warmup_steps=self.num_warmup_steps,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate_ratio"]
        return rate

    def _after_step(self, done: int) -> None:
        """Validate and save where it is due; the last step is validated, its artefact is saved."""
        is_last = done == self.num_steps
        validate_every, save_every = self.settings.validate_every, self.settings.save_every
        if is_last or (validate_every and done % validate_every == 0):
            self._validate(done)
            self._back_to_training(is_last)
        if self._ask(done):
            self._back_to_training(is_last)
        if save_every and done % save_every == 0 and not is_last:
            self.events.phase("save")
            self.checkpoints.save(done, self.trainee.trained, self.optimizer)
            self._back_to_training(is_last)

    def _ask(self, done: int) -> bool:
        """A few questions where it is due; whether any were asked."""
        if self.watch is None or not self.watch.is_due(done, self.num_steps):
            return False
        self.events.phase("evaluate")
        self.watch.ask(self.trainee.model, done, self.events)
        return True

    def _back_to_training(self, is_last: bool) -> None:  # noqa: FBT001
        if not is_last:
            self.events.phase("train")

    @torch.no_grad()
    def _validate(self, done: int) -> None:
        """The loss per label token over all validation rows; nothing when there are none."""
        if not self.validation_rows:
            return
        self.events.phase("validate")
        self.trainee.model.eval()
        num_targets = sum(row.num_targets for row in self.validation_rows)
        portions = self.trainee.portions(self.validation_rows, self.settings.batch_size)
        total = 0.0
        for number, portion in enumerate(portions, start=1):
            batch = self.trainee.make_batch(portion).to(self.device)
            total += float(self.trainee.cross_entropy(batch, num_targets))
            self.events.progress(number, len(portions), "batches")
        self.events.validation(step=done, loss=total, num_label_tokens=num_targets)


def _require_finite(loss: float, norm: float, step: int) -> None:
    """Stop a training that cannot recover: a weight that is not a number stays so."""
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise JobError(
            f"The training diverged: at step {step} the loss was {loss} and the gradient norm "
            f"{norm}. Lower `train.learning_rate`, or use `train.precision: fp32`."
        )
