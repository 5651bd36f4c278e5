"""Rows from a dataset on one hub that is named: Hugging Face (or a mirror of it), ModelScope."""

from dataclasses import replace
from pathlib import Path

from bakeoff.base.hub_access import HubName
from bakeoff.data.hub import HubSource
from bakeoff.data.sources import RowsFile, Splits, Surroundings
from bakeoff.schema.recipe_subject import DataSpec


class OneHubSource:
    """Asks hubs of one kind only, whatever order the recipe names."""

    def __init__(self, *order: HubName) -> None:
        self._order = order
        self._inner = HubSource()

    def fingerprint(self, spec: DataSpec, *, base_dir: Path) -> str:
        return self._inner.fingerprint(spec, base_dir=base_dir)

    def open(self, spec: DataSpec, surroundings: Surroundings) -> Splits:
        return self._inner.open(spec, self._narrowed(surroundings))

    def open_split(
        self, spec: DataSpec, split: str, surroundings: Surroundings
    ) -> tuple[RowsFile, ...]:
        return self._inner.open_split(spec, split, self._narrowed(surroundings))

    def _narrowed(self, surroundings: Surroundings) -> Surroundings:
        # A mirror is asked where the recipe names one, and never without.
        hub = surroundings.hub
        order = tuple(name for name in hub.order if name in self._order) or self._order[:1]
        return replace(surroundings, hub=replace(hub, order=order))


HUGGING_FACE = OneHubSource("hub", "mirror")
MODELSCOPE = OneHubSource("modelscope")
