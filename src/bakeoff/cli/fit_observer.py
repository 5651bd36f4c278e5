"""One line a training: what a sweep is at."""

from rich.console import Console

from bakeoff.runner.observer import Position
from bakeoff.runner.step_names import describe
from bakeoff.schema.events import Event
from bakeoff.schema.plan import Step, TrainPlan
from bakeoff.schema.record import Record


class Lines:
    """Tells of trainings that ended, and of what waits or fails."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def step_started(self, step: Step, position: Position) -> None:
        pass

    def progress(self, step: Step, done: int, total: int, what: str) -> None:
        pass

    def event(self, step: Step, event: Event) -> None:
        pass

    def step_finished(self, step: Step, record: Record | None, *, reused: bool) -> None:
        if isinstance(step, TrainPlan) and record is not None and not reused:
            error = f": {record.error.partition(chr(10))[0]}" if record.error else ""
            self._say(f"{describe(step, tuple(step.axes))}: {record.status}{error}")

    def step_skipped(self, step: Step, reason: str) -> None:
        self._say(f"{describe(step, ())}: skipped: {reason}")

    def note(self, text: str) -> None:
        self._say(text)

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)
