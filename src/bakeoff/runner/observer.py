"""What the runner tells whoever watches: the terminal now, a page later."""

from dataclasses import dataclass
from typing import Any, Protocol

from bakeoff.schema.events import Event
from bakeoff.schema.plan import Step
from bakeoff.schema.record import Record


@dataclass(frozen=True)
class Position:
    """Which step of how many."""

    index: int
    """Counted from 1."""

    total: int


class Observer(Protocol):
    """Called from the runner's thread, in order; must return at once."""

    def step_started(self, step: Step, position: Position) -> None: ...

    def progress(self, step: Step, done: int, total: int, what: str) -> None:
        """Of steps that are not run in a process of their own."""
        ...

    def event(self, step: Step, event: Event) -> None: ...

    def step_finished(self, step: Step, record: Record | None, *, reused: bool) -> None:
        """``record`` is None for steps that leave none (models and data)."""
        ...

    def step_skipped(self, step: Step, reason: str) -> None: ...

    def note(self, text: str) -> None: ...


class Silent:
    """Watches for nobody."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None
