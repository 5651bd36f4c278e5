"""What a worker process hands back: ``result.json`` in its run directory, written last."""

from typing import Any

from pydantic import Field

from bakeoff.schema.document import Document
from bakeoff.schema.record import Score


class TrainResult(Document):
    """Of a training."""

    artefact: str
    """Folder of the adapter or of the full model, relative to the run directory."""

    effective: dict[str, Any]
    num_examples: int
    num_train_tokens: int
    num_label_tokens: int
    num_truncated: int
    num_dropped: int
    batch_digest: str
    """Digest of token ids and labels in the order of training."""

    num_total_parameters: int
    num_trained_parameters: int
    num_token_pairs: int | None = None
    """Tokens of a row squared, over the rows of one pass: what attention's work grows with."""

    flops_per_token: float | None = None
    """Floating-point operations of all matrices but the output layer; None where they cannot be
    counted. With the next two: forward and backward, nothing computed twice."""

    flops_per_label_token: float | None = None
    """Of the output layer, whose result is needed at label tokens only."""

    flops_per_token_pair: float | None = None
    """Of attention."""

    packages: dict[str, str]
    hardware: dict[str, Any]


class EvalResult(Document):
    """Of an evaluation."""

    scores: tuple[Score, ...]
    effective: dict[str, Any]
    num_samples: int
    """Lines of the file of samples."""

    num_generated_tokens: int | None
    packages: dict[str, str]
    hardware: dict[str, Any]


class RunEnvironment(Document):
    """``environment.json``: what the worker found before it loaded anything."""

    packages: dict[str, str] = Field(default_factory=dict)
    hardware: dict[str, Any] = Field(default_factory=dict)


class ModelManifest(Document):
    """``manifest.json`` of a model on disk; its presence means complete."""

    source: str
    revision: str | None
    digest: str
    """SHA-256 over the names and digests of the model's files."""

    num_bytes: int
    fetched_from: str | None = None
    """Address of the hub, mirror or ModelScope; None for what came from this machine."""


class DataManifest(Document):
    """``manifest.json`` of prepared data; its presence means complete.

    Beside it lie ``train.jsonl``, ``validation.jsonl`` and ``test.jsonl``, one row a line:
    ``{"id", "context", "prompt", "response", "messages": [{"role", "content", "loss"}, ...],
    "segments": [{"text", "loss"}, ...]}``. ``prompt`` and ``response`` are the last question (empty
    for plain text) and its answer, ``context`` what a model is shown before that question (the
    system message and earlier turns, rendered; mostly empty), ``messages`` all turns as the dataset
    has them. ``segments`` is what a model is trained on, in order, without the end-of-sequence
    token (the trainer adds that, as the tokenizer names it).
    """

    source: str
    revision: str | None
    digest: str
    """SHA-256 over the three files."""

    num_rows: dict[str, int]
    num_overlapping: int
    """Test questions that stand in the training split too."""

    template_digest: str
