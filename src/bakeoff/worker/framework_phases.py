"""Marks what a framework does before its first step, from outside: loading rows, loading weights.

The libraries' own methods are wrapped, whoever calls them. A mark within another returns to it, so
that no second counts twice. What a newer version no longer has is not marked, and its time stays
with `prepare`.
"""

import functools
import importlib
from collections.abc import Callable
from typing import Any

from bakeoff.worker.events import Events

_MARKED = {
    "load_data": (
        ("transformers", "PreTrainedTokenizerBase", "from_pretrained"),
        ("datasets", "DatasetBuilder", "download_and_prepare"),
        ("datasets", "DatasetBuilder", "as_dataset"),
        ("datasets", "Dataset", "from_generator"),
        ("datasets", "Dataset", "map"),
        ("datasets", "Dataset", "filter"),
        ("datasets", "IterableDataset", "map"),
    ),
    "load_model": (
        ("transformers", "PreTrainedModel", "from_pretrained"),
        ("peft.tuners.tuners_utils", "BaseTuner", "inject_adapter"),
        ("peft", "PeftModel", "load_adapter"),
        ("transformers", "Trainer", "_move_model_to_device"),
    ),
}


class Phases:
    """Knows which phase it is in; made where a framework's own code is about to start."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._now = "prepare"
        events.phase(self._now)
        for phase, places in _MARKED.items():
            for place in places:
                self._wrap(phase, *place)

    def _wrap(self, phase: str, module: str, owner: str, name: str) -> None:
        try:
            kind = getattr(importlib.import_module(module), owner)
        except (ImportError, AttributeError):
            return
        method = vars(kind).get(name)
        if isinstance(method, classmethod | staticmethod):
            setattr(kind, name, type(method)(self._marked(phase, method.__func__)))
        elif callable(method):
            setattr(kind, name, self._marked(phase, method))

    def _marked(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            before = self._now
            self._go_to(phase)
            try:
                return function(*arguments, **named)
            finally:
                self._go_to(before)

        return call

    def _go_to(self, phase: str) -> None:
        # Once the work has begun others mark what happens.
        if not self._events.is_working and phase != self._now:
            self._events.phase(phase)
            self._now = phase
