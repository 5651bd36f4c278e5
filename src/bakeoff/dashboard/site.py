"""What the pages share: the store, the machine's ways, and who may do what."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.dashboard.access import Access
from bakeoff.dashboard.talks import Talks
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.study import Study
from bakeoff.store.runs import Store

_SYNC_EVERY_SECONDS = 1.0


class Shelf:
    """A store that looks at its directories once a second, however many pages ask."""

    def __init__(self, runs_dir: Path) -> None:
        self._store = Store(runs_dir)
        self._lock = threading.Lock()
        self._synced = float("-inf")

    def store(self) -> Store:
        """Not older than a second."""
        with self._lock:
            if time.monotonic() - self._synced > _SYNC_EVERY_SECONDS:
                self._store.sync()
                self._synced = time.monotonic()
        return self._store


@dataclass(frozen=True, kw_only=True)
class Site:
    """One running ``bakeoff ui``."""

    runs_dir: Path
    workspace_of: Callable[[Path, Sequence[str]], Workspace]
    """Where a recipe is run, by what the recipe and the environment say."""

    presets: Path
    """Folder of recipes to start from."""

    command: tuple[str, ...]
    """How bakeoff itself is started; `run` and the recipe follow."""

    environment: Mapping[str, str]
    """What started studies inherit."""

    working_dir: Path
    access: Access
    read_only: bool = False
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when the server is asked to end, so that live progress ends first."""

    shelf: Shelf = field(init=False)
    talks: Talks = field(default_factory=Talks, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shelf", Shelf(self.runs_dir))

    def workspace_of_study(self, study: Study | None) -> Workspace:
        """Where the study was run; the usual folders where its recipe is gone."""
        if study is not None:
            recipe = self.working_dir / study.recipe_path  # an absolute path stays as it is
            with contextlib.suppress(UserError):
                return self.workspace_of(recipe, study.overrides)
        return self.workspace_of(self.presets / "quickstart.yaml", ())

    @property
    def store(self) -> Store:
        return self.shelf.store()
