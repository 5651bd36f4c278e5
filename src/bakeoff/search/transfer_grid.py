"""The losses of a transfer experiment, by arm, context, rate and seed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bakeoff.compare.rate_curve import mean_of_each
from bakeoff.schema.plan import AxisValue, TrainPlan
from bakeoff.schema.record import Record
from bakeoff.search.objectives import loss_unless_diverged
from bakeoff.search.transfer_plan import FULL, Transfer

Key = tuple[str, tuple[tuple[str, AxisValue], ...]]
"""An arm's name, and its context."""

ByRate = Mapping[float, Sequence[float | None]]
"""One loss a seed; None: it diverged, failed or was not run."""


@dataclass(frozen=True)
class Grid:
    losses: dict[Key, ByRate]
    methods: dict[Key, str]
    records: tuple[Record, ...]

    @classmethod
    def of(cls, transfer: Transfer, done: Sequence[tuple[TrainPlan, Record | None]]) -> "Grid":
        found: dict[Key, dict[float, dict[int, float | None]]] = {}
        methods: dict[Key, str] = {}
        for step, record in done:
            key = (transfer.arm_of(step), tuple(transfer.context_of(step).items()))
            by_rate = found.setdefault(key, {})
            by_rate.setdefault(step.train.learning_rate, {})[step.seed] = loss_unless_diverged(
                record
            )
            methods[key] = step.method
        losses: dict[Key, ByRate] = {
            key: {
                rate: [row.get(seed) for seed in transfer.seeds]
                for rate, row in sorted(by_rate.items())
            }
            for key, by_rate in found.items()
        }
        return cls(losses, methods, tuple(r for _, r in done if r is not None))

    def pairs(self) -> Iterator[tuple[Key, Key]]:
        """Each adapter curve with that of full fine-tuning in the same context."""
        fulls = {key[1]: key for key, method in self.methods.items() if method == FULL}
        for key, method in self.methods.items():
            if method != FULL and key[1] in fulls:
                yield key, fulls[key[1]]

    def lowest_mean(self, key: Key) -> float | None:
        known = [mean for mean in mean_of_each(list(self.losses[key].values())) if mean is not None]
        return min(known, default=None)
