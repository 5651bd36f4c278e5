"""Engine `hf`: padded batches by transformers; the reference."""

from bakeoff.evals.harness import HarnessEngine


class HfEngine(HarnessEngine):
    """The harness's own model class, with stop strings checked row by row."""
