"""What a source of models is, and the table of sources."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bakeoff.base.hub import HubAccess, Report
from bakeoff.base.registry import Registry
from bakeoff.base.sources import source_kind
from bakeoff.schema.plan import Launch
from bakeoff.schema.recipe_subject import ModelSpec
from bakeoff.schema.results import ModelManifest


@dataclass(frozen=True)
class Surroundings:
    """Where a source may read and write, and who does what it cannot do itself."""

    base_dir: Path
    """Folder of the recipe."""

    cache_dir: Path
    hub: HubAccess
    run_worker: Callable[[Launch, Path], None]
    """Writes the files of a launch into a folder and runs it there; raises when it fails."""

    report: Report


class ModelSource(Protocol):
    """Knows one way of getting a model."""

    def fingerprint(self, spec: ModelSpec, *, base_dir: Path, cache_dir: Path | None) -> str:
        """Equal for equal models, as far as can be told cheaply and without a network."""
        ...

    def locate(self, spec: ModelSpec, *, base_dir: Path, cache_dir: Path) -> Path | None:
        """The folder, if the model is on disk and whole."""
        ...

    def num_bytes_to_fetch(self, spec: ModelSpec, *, cache_dir: Path, hub: HubAccess) -> int | None:
        """Room that a model needs which is not on disk yet; None when nobody can say now."""
        ...

    def fetch(self, spec: ModelSpec, surroundings: Surroundings) -> tuple[Path, ModelManifest]:
        """The folder and what is in it, brought to disk where need be.

        Called by one process at a time for one model.

        Raises:
            UserError: It cannot be had, or is not what can be trained.
        """
        ...


MODEL_SOURCES: Registry[ModelSource] = Registry(
    "model",
    {
        "builtin:smollm2-135m": "bakeoff.models.smollm2:SOURCE",
        "hub": "bakeoff.models.hub:SOURCE",
        "local": "bakeoff.models.local:SOURCE",
    },
)


def source_of(spec: ModelSpec, base_dir: Path) -> ModelSource:
    kind = source_kind(spec.source, base_dir, key="model.source")
    return MODEL_SOURCES.get(spec.source if kind == "builtin" else kind)
