"""Where a study is run: folders, interpreter and the environment that processes inherit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bakeoff.base.hub import HubAccess
from bakeoff.runner.process_run import Watching
from bakeoff.schema.recipe_machine import ClusterSpec, ExchangeSpec, MeasureSpec


@dataclass(frozen=True, kw_only=True)
class Workspace:
    runs_dir: Path
    cache_dir: Path
    """Models and prepared data; anything in it can be made again."""

    python: Path
    """Interpreter that holds the training stack."""

    environment: Mapping[str, str]
    """What child processes inherit; a run's own variables come on top."""

    command_line: tuple[str, ...]
    hub: HubAccess
    installing_environment: Mapping[str, str] = field(default_factory=dict)
    """What the installation of an environment inherits: it knows the person's package index."""

    temporary_dir: Path | None = None
    """Where child processes put temporary files; None: the system's place."""

    silence_limit_seconds: float = math.inf
    """A run that tells nothing for so long is ended."""

    measure: MeasureSpec = field(default_factory=MeasureSpec)
    cluster: ClusterSpec | None = None
    """The cluster that runs are done on; None: on this machine."""

    exchange: ExchangeSpec = field(default_factory=ExchangeSpec)

    report_to: tuple[str, ...] = ()
    """Trackers that are told of a study's runs."""

    @property
    def exchange_environment(self) -> dict[str, str]:
        """What the processes of one training must know of each other."""
        told = {"BAKEOFF_EXCHANGE_SECONDS": f"{60 * self.exchange.timeout_minutes:g}"}
        if self.exchange.rendezvous is not None:
            told["BAKEOFF_RENDEZVOUS"] = self.exchange.rendezvous
        return told

    def watching(self, device: str) -> Watching:
        """How a run on that device is watched."""
        return Watching(
            interval_seconds=self.measure.interval_seconds,
            silence_limit_seconds=self.silence_limit_seconds,
            with_gpus=device in ("auto", "cuda"),
        )

    def data_dir(self, data_id: str) -> Path:
        return self.cache_dir / "data" / data_id
