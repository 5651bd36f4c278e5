"""The training loop."""

import math
import time
from dataclasses import dataclass

import torch

from bakeoff.worker.batches import Batch, Order
from bakeoff.worker.checkpoint import Checkpoints, random_state, set_random_state
from bakeoff.worker.dealing import Portions, passes_of
from bakeoff.worker.events import Events
from bakeoff.worker.exchange import ExchangeWatch
from bakeoff.worker.failures import JobError
from bakeoff.worker.lanes import Lanes, share_out
from bakeoff.worker.modelling import Trainee
from bakeoff.worker.probe import Probe
from bakeoff.worker.rows import Row, RowList
from bakeoff.worker.schedule import rate_factor
from bakeoff.worker.settings import TrainSettings
from bakeoff.worker.spread import Spread
from bakeoff.worker.watch_answers import Watch


@dataclass
class Loop:
    """Everything that the steps of one training need."""

    trainee: Trainee
    spread: Spread
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

    exchange: ExchangeWatch | None = None
    """Where several processes exchange tensors."""

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
            if self.exchange is not None:
                self.exchange.begin(done + 1)
            self._step(done, [self.rows[index] for index in indices])
            if self.exchange is not None:
                self.exchange.end()
            done += 1
            self._after_step(done)
        if self.lanes is not None:
            self.lanes.close()

    def _resume(self) -> int:
        """Number of steps that are done already."""
        group = self.spread.group
        newest = None
        if group.is_main:
            newest = self.checkpoints.newest(self.trainee.trained, self.events.warning)
            if newest is None:
                self.checkpoints.remove_all()  # of another job, or not whole
        done = int(group.same("resume", lambda: newest.step if newest else 0))
        if done == 0:
            if self.events.has_steps():
                self.events.resume(0)
            return 0
        if newest is None:
            newest = self.checkpoints.read(done, self.trainee.trained)
        self.spread.restore(newest.weights, newest.optimizer)
        if group.rank < len(newest.random_states):
            set_random_state(newest.random_states[group.rank])
        self.events.resume(done)
        return done

    def _save(self, done: int) -> None:
        """A checkpoint is one process's, whoever trained: any number of processes goes on."""
        self.spread.group.tell(f"the checkpoint after step {done}")
        weights, optimizer = self.spread.weights(), self.spread.optimizer_state()
        states = self.spread.group.collect(f"random {done}", random_state())
        if self.spread.group.is_main:
            self.checkpoints.save(done, weights, optimizer, states)

    def _step(self, done: int, rows: list[Row]) -> None:
        """One optimiser step over ``rows``, after ``done`` steps."""
        start = time.perf_counter()
        rate = self._set_rate(done)
        num_targets = sum(row.num_targets for row in rows)
        self.trainee.model.train()
        parameters = list(self.trainee.trained.values())
        if self.lanes is None:
            total = self._backward(done, rows, num_targets)
        else:
            # Rows that pass side by side have no order; the probe is told that of the step.
            self._tell_probe(self.trainee.make_batch(rows))
            shares = share_out(rows, self.lanes.num_lanes, self.settings.batch_size)
            batches = [[self.trainee.make_batch(rows) for rows in share] for share in shares]
            total = self.lanes.backward(
                batches, parameters, lambda batch: self.trainee.cross_entropy(batch, num_targets)
            )
        self.spread.group.tell(f"the update of step {done + 1}")
        total = self.spread.group.sum(total)
        norm = self.spread.update()
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

    def _backward(self, done: int, rows: list[Row], num_targets: int) -> torch.Tensor:
        """One pass after the other; the sum of this process's losses."""
        total = torch.zeros((), device=self.device)
        passes, num_more = self._passes(rows)
        for number, portion in enumerate(passes, start=1):
            self.spread.group.tell(f"a pass of step {done + 1}")
            batch = self.trainee.make_batch(portion)
            self._tell_probe(batch)
            counts, is_last = number <= len(passes) - num_more, number == len(passes)
            total += self.spread.backward(
                batch.to(self.device), num_targets, counts=counts, is_last=is_last
            )
        return total

    def _passes(self, rows: RowList) -> tuple[Portions, int]:
        """Those of this process; the last so many of them teach nothing, only others' do."""
        group = self.spread.group
        own, num_more = passes_of(
            rows,
            group.rank,
            group.num_processes,
            lambda some: self.trainee.portions(some, self.settings.batch_size),
        )
        return [*own, *[[self.rows[0]]] * num_more], num_more

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
        for group in self.spread.param_groups:
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
            self._save(done)
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
        passes, num_more = self._passes(self.validation_rows)
        total = torch.zeros((), device=self.device)
        for number, portion in enumerate(passes, start=1):
            self.spread.group.tell(f"the validation after step {done}")
            batch = self.trainee.make_batch(portion).to(self.device)
            loss = self.spread.loss(batch, num_targets)
            total += loss * float(number <= len(passes) - num_more)
            self.events.progress(number, len(passes), "batches")
        self.spread.group.sum(total)
        self.events.validation(step=done, loss=float(total), num_label_tokens=num_targets)


def _require_finite(loss: float, norm: float, step: int) -> None:
    """Stop a training that cannot recover: a weight that is not a number stays so."""
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise JobError(
            f"The training diverged: at step {step} the loss was {loss} and the gradient norm "
            f"{norm}. Lower `train.learning_rate`, or use `train.precision: fp32`."
        )
