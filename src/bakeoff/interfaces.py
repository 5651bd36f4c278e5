"""What can be added to bakeoff. This page is all that a contributor has to read.

An implementation is pure translation: it never starts a process, never imports the tool that it
drives, and gives the same answer for the same input. The runner writes the files of a ``Launch``
into the run directory, starts it, watches it, and asks for its events and its result.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from bakeoff.schema.events import Event
from bakeoff.schema.plan import (
    AxisValue,
    Dialect,
    Distribution,
    EvalPlan,
    Launch,
    Problem,
    TrainPlan,
    World,
)
from bakeoff.schema.results import EvalResult, TrainResult
from bakeoff.schema.sample import Layout, Sample


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Where a step finds what earlier steps made. Every path is absolute."""

    python: Path
    """Interpreter of the environment that the step runs in."""

    model_dir: Path
    data_dir: Path
    has_validation: bool = False
    """Whether ``validation.jsonl`` in ``data_dir`` holds any row."""

    artefact_dir: Path | None = None
    """Adapter or full model of the training that is evaluated; None: the untouched model."""

    trained_rows: Path | None = None
    """Of an evaluation: the rows that the model was trained on, if they are on disk."""

    probe: bool = False
    """Whether a training writes down what it really does (``bakeoff.schema.parity.Probe``)."""

    distribution: Distribution | None = None
    """How a training is spread over processes; None: it is one process."""


class Backend(Protocol):
    """A trainer: a plan becomes a child process, its logs become events."""

    requirements: ClassVar[tuple[str, ...]]
    """Distributions that its environment must hold."""

    environment: ClassVar[str | None]
    """Name of the environment that it runs in; None: that of bakeoff's own jobs, in which the
    ``requirements`` are looked for before anything starts."""

    accepts: ClassVar[frozenset[Dialect]]

    def check(self, plan: TrainPlan) -> Sequence[Problem]:
        """Everything that this backend cannot do for the plan; empty means it can run."""
        ...

    def render(self, plan: TrainPlan, inputs: Inputs, run_dir: Path) -> Launch:
        """The process to start, with its working directory in ``run_dir``.

        Started again in a directory where it was interrupted, that process goes on from its last
        checkpoint.
        """
        ...

    def read_events(self, run_dir: Path) -> Iterable[Event]:
        """All events so far, oldest first; called again and again while the process runs."""
        ...

    def read_result(self, run_dir: Path) -> TrainResult:
        """What a finished training left.

        Raises:
            FileNotFoundError: the training did not finish.
        """
        ...


class Strategy(Protocol):
    """A way to spread one training over devices, told in every dialect that it speaks."""

    speaks: ClassVar[frozenset[Dialect]]

    requirements: ClassVar[tuple[str, ...]]
    """Distributions that must stand beside a backend that has no environment of its own."""

    def check(self, world: World) -> Sequence[Problem]:
        """Why this strategy cannot run on such a world; empty means it can."""
        ...

    def tell(self, dialect: Dialect, plan: TrainPlan) -> Mapping[str, Any]:
        """What this strategy is in ``dialect``, one that it speaks; plain JSON values.

        - `plain`: nothing.
        - `torchrun`: ``kind``, the name of torch's own way: `ddp` or `fsdp`.
        - `hf_fsdp`: keys of transformers' arguments, ``fsdp`` and ``fsdp_config``.
        - `deepspeed_json`: DeepSpeed's own configuration, whole.
        """
        ...


class EvalEngine(Protocol):
    """Generates answers and has them scored; runs in its own environment like a backend."""

    requirements: ClassVar[tuple[str, ...]]
    environment: ClassVar[str | None]
    """As of a backend."""

    def check(self, plan: EvalPlan) -> Sequence[Problem]: ...

    def render(self, plan: EvalPlan, inputs: Inputs, run_dir: Path) -> Launch: ...

    def read_events(self, run_dir: Path) -> Iterable[Event]: ...

    def read_result(self, run_dir: Path) -> EvalResult: ...


class RowFormat(Protocol):
    """A shape of rows: how a row becomes a conversation, and a conversation a row.

    What is read from a row that ``write`` made is the sample it was made from, to the last
    character; what has no place in the format is refused, never left out.
    """

    def columns(self, layout: Layout, present: Collection[str]) -> Mapping[str, str]:
        """Columns that are read, by their role in `data.columns`.

        Those that every row must have stand there whether or not they are ``present``.
        """
        ...

    def fit(self, row: Mapping[str, object], layout: Layout) -> int:
        """How sure it is that such rows are of this format; 0: they are not.

        Of several formats the surest is taken. A value may be None where only the columns' names
        are known yet.
        """
        ...

    def read(self, row: Mapping[str, object], layout: Layout, *, where: str) -> Sample:
        """The conversation that a row holds.

        Raises:
            UserError: with ``where`` (file and row), the key, what was expected and what came.
        """
        ...

    def unheld(self, sample: Sample) -> str | None:
        """What of a sample has no place in this format, in words; None: all has."""
        ...

    def write(
        self, sample: Sample, layout: Layout, *, with_optional: Collection[str]
    ) -> dict[str, object]:
        """The row for a sample, leaving out what ``unheld`` names.

        Args:
            sample: What to write.
            layout: Names of columns and tags.
            with_optional: Roles of optional columns that every row is to have, for the sake of
                readers that want each row to have the same columns.
        """
        ...

    def optional(self, sample: Sample) -> Collection[str]:
        """Roles of the optional columns without which this sample cannot be written."""
        ...


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """A run, as a tracker is told of it when it begins."""

    study: str
    run_id: str
    """Unique, and the same whenever the run is told of again."""

    name: str
    """For people; runs of one study differ in it."""

    kind: Literal["train", "eval"]
    began_at: float
    """Seconds since the epoch."""

    settings: Mapping[str, AxisValue]
    tags: Mapping[str, str]
    parent_run_id: str | None = None
    """Of an evaluation: the training whose model is scored."""

    @property
    def unique_name(self) -> str:
        """For trackers that know runs by their names."""
        return f"{self.name} ({self.run_id.rpartition('-')[2][:6]})"


@dataclass(frozen=True, kw_only=True)
class Point:
    """One value of a curve."""

    series: str
    """`group/name_unit`: `train/loss`, `memory/host_gib`."""

    step: int
    """Optimiser steps; for `memory/` seconds since the start, for `progress/` the value."""

    value: float
    """May be NaN or infinite."""

    at: float
    """Seconds since the epoch."""


@dataclass(frozen=True, kw_only=True)
class RunEnd:
    """What a run came to."""

    status: Literal["finished", "failed", "killed"]
    """`killed`: it was interrupted, and may go on some day."""

    at: float
    error: str | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    """Final numbers, `group/name_unit`."""

    settings: Mapping[str, AxisValue] = field(default_factory=dict)
    """Those that were really used."""

    tags: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[Path] = ()
    """To be kept where the tracker keeps files."""


class OpenRun(Protocol):
    """A run in a tracker that can be added to. Any method may raise any error of the client."""

    id: str
    """By which the tracker finds the run again."""

    is_new: bool
    """Whether it holds nothing yet, so that everything has to be sent."""

    def log(self, points: Sequence[Point]) -> None: ...

    def end(self, end: RunEnd) -> None:
        """Close it; what was logged is safe when this returns."""
        ...


class Tracker(Protocol):
    """A place where people look at runs, driven by its own client in a process of its own.

    Only ``open`` may import the client. What the person's environment says of the tracker goes
    before what is chosen here.
    """

    requirements: ClassVar[tuple[str, ...]]
    """Distributions that must stand beside bakeoff."""

    is_parallel: ClassVar[bool]
    """Whether several runs can be open at once."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """``folder``: where it keeps what it writes, unless the environment says otherwise."""
        ...

    def variables(self) -> Mapping[str, str]:
        """What its process finds in the environment in addition: never a prompt, never a guess."""
        ...

    def address(self) -> str:
        """Of the store: runs that were sent to another one are sent anew. Holds no secret."""
        ...

    def look(self) -> str:
        """The command that shows the runs, as it is typed, or the page where they are."""
        ...

    def open(self, run: TrackedRun, known: str | None) -> OpenRun:
        """Begin a run, or go on with the one that had the id ``known`` before, if it is there."""
        ...
