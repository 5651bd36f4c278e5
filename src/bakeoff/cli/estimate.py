"""How long a study will still take: steps that are alike are taken to last alike."""

from collections.abc import Collection
from dataclasses import dataclass

from bakeoff.runner.progress import step_name
from bakeoff.schema.plan import EvalPlan, Plan, Step, TrainPlan


@dataclass(frozen=True)
class Estimate:
    seconds: float
    is_lower_bound: bool
    """True while some kind of step has not been seen yet."""


class Estimator:
    """Learns from each finished step."""

    def __init__(self, plan: Plan, done: Collection[str]) -> None:
        self._left = [step for step in plan.steps if step_name(step) not in done]
        self._seen: dict[tuple[str, ...], list[float]] = {}

    def finished(self, step: Step, seconds: float | None) -> None:
        """``seconds`` is None for a step that was not done now: it teaches nothing."""
        name = step_name(step)
        self._left = [other for other in self._left if step_name(other) != name]
        if seconds is not None:
            for kind in _kinds(step):
                self._seen.setdefault(kind, []).append(seconds)

    def left(self, step: Step, *, elapsed: float, left_in_step: float | None) -> Estimate | None:
        """Of the whole study, while ``step`` has run for ``elapsed`` seconds."""
        if left_in_step is None:
            return None
        guesses = dict.fromkeys(_kinds(step), elapsed + left_in_step)
        total, unknown = left_in_step, False
        for other in self._left:
            if step_name(other) == step_name(step):
                continue
            seconds = self._guess(other, guesses)
            total += seconds or 0.0
            unknown = unknown or seconds is None
        return Estimate(total, unknown)

    def _guess(self, step: Step, guesses: dict[tuple[str, ...], float]) -> float | None:
        for kind in _kinds(step):
            if kind in self._seen:
                return sum(self._seen[kind]) / len(self._seen[kind])
            if kind in guesses:
                return guesses[kind]
        return 1.0 if step.kind in ("model", "data") else None


def _kinds(step: Step) -> list[tuple[str, ...]]:
    """From the closest likeness to the loosest."""
    if isinstance(step, TrainPlan):
        return [(step.kind, step.backend, step.method), (step.kind, step.backend), (step.kind,)]
    if isinstance(step, EvalPlan):
        return [(step.kind, step.task, str(step.num_fewshot)), (step.kind, step.task)]
    return [(step.kind,)]
