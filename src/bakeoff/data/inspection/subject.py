"""What is looked at: the splits that a recipe names, or all that a bare source holds."""

from dataclasses import dataclass

from bakeoff.data.formats.reading import layout_of
from bakeoff.data.sources import RowsFile, Splits, Surroundings, source_of
from bakeoff.data.splits_there import splits_there
from bakeoff.schema.recipe_subject import DataSpec
from bakeoff.schema.sample import Layout


@dataclass(frozen=True)
class OpenedSplits:
    """Files of rows by split."""

    files: dict[str, tuple[RowsFile, ...]]
    layout: Layout
    """Of files that do not know their own."""


def open_splits(spec: DataSpec, surroundings: Surroundings, *, is_recipe: bool) -> OpenedSplits:
    """Find the files of every split, without reading more than their beginnings.

    Args:
        spec: Which rows. Of a bare source the names of its splits do not count.
        surroundings: Where to look.
        is_recipe: The splits are those that a recipe names, and none may be missing.

    Raises:
        UserError: Nothing is there.
    """
    if is_recipe:
        files = _of(source_of(spec, surroundings.base_dir).open(spec, surroundings))
    else:
        files = splits_there(spec, surroundings)
    return OpenedSplits(files, layout_of(spec))


def _of(splits: Splits) -> dict[str, tuple[RowsFile, ...]]:
    named = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {name: files for name, files in named.items() if files is not None}
