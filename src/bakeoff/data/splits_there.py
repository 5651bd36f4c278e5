"""Which of the usual splits a source holds, for what is not told by a recipe."""

from bakeoff.base.errors import UserError
from bakeoff.data.sources import NoSuchSplitError, RowsFile, Surroundings, source_of
from bakeoff.schema.recipe_subject import DataSpec

SPLIT_NAMES = {
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}
"""What each split is called, here and elsewhere."""


def splits_there(
    spec: DataSpec, surroundings: Surroundings, *, hint: str | None = None
) -> dict[str, tuple[RowsFile, ...]]:
    """Files by split; a single file is the training split.

    Args:
        spec: The source; which splits it names makes no difference.
        surroundings: Where to look.
        hint: What to do when there is none, where that is more than the source itself knows.

    Raises:
        UserError: There is none, or one cannot be told from another or cannot be reached.
    """
    source = source_of(spec, surroundings.base_dir)
    found: dict[str, tuple[RowsFile, ...]] = {}
    missing: NoSuchSplitError | None = None
    for split, names in SPLIT_NAMES.items():
        for name in names:
            try:
                found[split] = source.open_split(spec, name, surroundings)
                break
            except NoSuchSplitError as error:
                missing = missing or error
    if not found and missing is not None:
        raise UserError(str(missing), hint=hint or missing.hint) from missing
    return found
