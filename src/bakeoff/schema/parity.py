"""Do the backends do the same work? What a probe saw, and what comparing probes came to."""

from typing import Any, Literal

from pydantic import Field

from bakeoff.schema.document import Document
from bakeoff.schema.plan import AxisValue


class ProbedRow(Document):
    """As a model read it: without padding."""

    token_ids: tuple[int, ...]
    labels: tuple[int, ...]
    """The token's own id where it is learned, -100 elsewhere."""


class ParameterGroup(Document):
    """Parameters with which the optimiser does the same."""

    learning_rate: float
    betas: tuple[float, ...]
    epsilon: float | None
    weight_decay: float | None
    num_parameters: int


class ProbedStep(Document):
    """One optimiser step."""

    rows: tuple[ProbedRow, ...]
    num_logit_places: int
    """Positions for which logits were computed, padding among them."""

    optimizer: str
    optimizer_dtypes: dict[str, int]
    groups: tuple[ParameterGroup, ...]


class Probe(Document):
    """``probe.json``, written by ``bakeoff.worker.probe`` from inside a trainer's process."""

    eos_token_id: int | None
    bos_token_id: int | None
    pad_token_id: int | None
    trained_dtypes: dict[str, int]
    """Numbers in each format, by the name that PyTorch has for it."""

    frozen_dtypes: dict[str, int]
    gradient_checkpointing: bool
    adapter: dict[str, Any] | None
    steps: tuple[ProbedStep, ...]


class Reference(Document):
    """The first step's rows, and their loss in fp32 by a plain forward pass of each by itself."""

    loss: float
    rows: tuple[ProbedRow, ...]


class ProbedRun(Document):
    """One short training of one backend with one seed."""

    backend: str
    seed: int
    error: str | None = None
    """Why it came to nothing; then there is no probe."""

    probe: Probe | None = None
    losses: tuple[float, ...] = ()
    """One a step, as the backend logs them."""

    effective: dict[str, Any] = Field(default_factory=dict)


class ProbedCell(Document):
    """All backends on the same work."""

    cell: dict[str, AxisValue]
    """Without backend and seed."""

    precision: str
    """The recipe's `train.precision`."""

    runs: tuple[ProbedRun, ...]
    """One a backend and seed; of each backend the first has the reference's seed."""

    reference: Reference


class Difference(Document):
    what: str
    values: dict[str, str]
    """By backend."""

    cause: str | None
    """None: not known."""

    affects: Literal["result", "cost"]
    """`cost`: only time and memory."""


class CellParity(Document):
    """The backends against each other in one cell of the matrix."""

    cell: dict[str, AxisValue]
    backends: tuple[str, ...]
    tokens_equal: bool
    labels_equal: bool
    step0_loss: dict[str, float]
    """By backend, and of the `reference`."""

    num_tokens: dict[str, tuple[int, ...]]
    """By backend, one a step."""

    num_labels: dict[str, tuple[int, ...]]
    losses: dict[str, tuple[tuple[float, ...], ...]]
    """By backend: one curve a seed."""

    differences: tuple[Difference, ...]
    failed: dict[str, str]
    """By backend, why it could not be probed."""

    first_rows: dict[str, ProbedRow] = Field(default_factory=dict)
    """By backend, the first row of the first step."""


class Parity(Document):
    """Printed by ``bakeoff parity --json``."""

    study: str
    backends: tuple[str, ...]
    tokens_equal: bool
    labels_equal: bool
    step0_loss: dict[str, float]
    """Of the first cell."""

    differences: tuple[Difference, ...]
    """Of all cells, each once."""

    cells: tuple[CellParity, ...]
