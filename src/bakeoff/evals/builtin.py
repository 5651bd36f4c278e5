"""Engine `builtin`: continuous batching without padding; the same answers in less time."""

from bakeoff.evals.harness import HarnessEngine


class BuiltinEngine(HarnessEngine):
    """Plain transformers' models under bakeoff's own generation (``bakeoff.worker.answering``)."""
