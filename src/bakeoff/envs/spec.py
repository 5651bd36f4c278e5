"""What an environment is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bakeoff.schema.plan import Launch

TORCH = "torch==2.13.0"
"""One version everywhere: frameworks that are compared run on the same kernels."""

DEEPSPEED = 'deepspeed>=0.19 ; sys_platform == "linux"'
"""Strategies `zero...`; kept out of trainings that do not use it (``worker/__main__.py``)."""

TEXT_ONLY = (
    TORCH,
    # Wanted for pictures and sound; their builds are bound to one build of torch each.
    'torchvision ; python_version < "3"',
    'torchaudio ; python_version < "3"',
)
"""Overrides for a framework that is used for text alone."""

EVERYWHERE = frozenset({"linux-x86_64", "linux-aarch64", "windows-x86_64", "macos-aarch64"})
"""Where that version of torch has builds."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A tiny model and a few rows, for a training that proves an environment."""

    python: Path
    """Interpreter of the environment."""

    model_dir: Path
    rows: tuple[tuple[str, str], ...]
    """Question and answer."""

    output_dir: Path
    num_steps: int


@dataclass(frozen=True, kw_only=True)
class EnvSpec:
    """An environment that can be installed."""

    name: str
    home: Path = Path(__file__).parent
    """Holds ``locks/<name>.txt`` and ``stand_ins/``; another package that adds an environment has
    its own."""

    distribution: str
    """The framework as the package index calls it."""

    requirements: tuple[str, ...]
    """What is locked, with all that it needs."""

    overrides: tuple[str, ...] = ()
    """Requirements that replace those of any package."""

    stand_ins: tuple[str, ...] = ()
    """Modules of ``stand_ins/``, for what is imported but never used."""

    imports: tuple[str, ...]
    """What must be importable."""

    pythons: str = ">=3.11,<3.14"
    """Versions for which every package of the lock has a build."""

    systems: frozenset[str] = EVERYWHERE
    num_bytes: int
    """On disk, with the largest build of torch that the system gets."""

    stands_for: str | None = None
    """Name of the environment in whose place a recipe may name this one."""

    answers: bool = False
    """Whether it answers questions: its trial leaves ``answers.json``, a list with the number of
    tokens of each answer, in place of what follows."""

    trial: Callable[[Trial], Launch]
    """A LoRA training by the framework's own entry point: float32, offline, one device, every step
    logged; it leaves a ``trainer_state.json`` and an adapter below ``output_dir``."""

    @property
    def lock_path(self) -> Path:
        return self.home / "locks" / f"{self.name}.txt"

    @property
    def stand_in_paths(self) -> list[Path]:
        return [self.home / "stand_ins" / f"{name}.py" for name in self.stand_ins]
