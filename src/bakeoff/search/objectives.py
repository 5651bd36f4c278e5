"""What a search looks for, read from the records of a trial."""

from collections.abc import Sequence
from dataclasses import dataclass

from bakeoff.schema.figures import HEADLINE_FILTER
from bakeoff.schema.recipe_search import Objective
from bakeoff.schema.record import Record


@dataclass(frozen=True)
class TrialRecords:
    """The runs of one trial."""

    training: Record | None
    evaluation: Record | None = None

    @property
    def all(self) -> Sequence[Record]:
        return [record for record in (self.training, self.evaluation) if record is not None]


def value_of(objective: Objective, records: TrialRecords) -> float | None:
    """None where the trial does not tell: it failed, or its loss is no number any more."""
    if objective == "exact_match":
        return _exact_match(records.evaluation)
    training = records.training
    if training is None or training.status != "finished" or training.measurement is None:
        return None
    if objective == "validation_loss":
        return last_validation_loss(training)
    measured = training.measurement
    if objective == "train_time":
        return measured.train_seconds
    return measured.peak_device_reserved_bytes or measured.peak_host_bytes


def last_validation_loss(training: Record) -> float | None:
    """Per label token, after the last step; None where it is missing or not finite."""
    points = [point for point in training.losses if point.split == "validation"]
    return points[-1].loss if points and points[-1].step > 0 else None


def loss_unless_diverged(training: Record | None) -> float | None:
    """`last_validation_loss`; None as well where the training failed, or ended above its start.

    A rate far too high need not end in a number that is not finite: the model is destroyed all the
    same, and how high its loss happens to lie says nothing of the curve below.
    """
    if training is None or training.status != "finished":
        return None
    last = last_validation_loss(training)
    first = next((p for p in training.losses if p.split == "validation" and p.step == 0), None)
    if last is None or first is None or first.loss is None:
        return last
    return None if last > first.loss else last


def _exact_match(evaluation: Record | None) -> float | None:
    if evaluation is None or evaluation.status != "finished":
        return None
    found = [s for s in evaluation.scores if s.metric == "exact_match"]
    headline = [score for score in found if score.filter == HEADLINE_FILTER] or found
    return headline[0].value if headline else None
