"""`builtin:gsm-symbolic`: word problems from reasoning-gym's ``gsm_symbolic``, without a network.

Answers have the form of GSM8K: working, then `#### N`. Generator: reasoning-gym (Stojanovski et al.
2025, arXiv:2505.24760), after GSM-Symbolic (Mirzadeh et al. 2024, arXiv:2410.05229).

Accepted trade-offs: the generator fills about eighty templates (some twenty for `easy`) with names
and numbers, so that train, validation and test share no question but do share their templates. A
score here says whether a model learned these kinds of problem, not whether it can do arithmetic
problems in general; for that take real GSM8K.
"""

import importlib.metadata
from collections.abc import Callable, Iterator
from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.base.hashing import digest_json, digest_text
from bakeoff.data.gsm_symbolic_items import KEEPERS, Item, item_of
from bakeoff.data.overlap import question_key
from bakeoff.data.reasoning_gym_loader import load_generator
from bakeoff.data.sources import NoSuchSplitError, NumberedRows, RowsFile, Splits, Surroundings
from bakeoff.schema.recipe_subject import Columns, DataSpec

_DISTRIBUTION = "reasoning-gym"
_DEFAULT_SUBSET = "easy"
_DEFAULT_NUM_TRAIN = 800
_DEFAULT_NUM_TEST = 200
_BATCH_ITEMS = 2_000
_MIN_NEW_PER_BATCH = 4
"""Below two new questions in a thousand the supply counts as exhausted."""


class GsmSymbolicSource:
    """Two subsets: `easy` (the default) and `all`.

    `easy`: at most two lines of working, a whole-number answer, no number above 100.
    `all`: every item whose arithmetic is sound.

    The seed decides the items. Test items are made first, then those of validation and training,
    so that asking for more training rows leaves the others as they were.
    """

    def fingerprint(self, spec: DataSpec, *, base_dir: Path) -> str:
        return digest_json([spec.source, _version(), _subset(spec), spec.seed])

    def open(self, spec: DataSpec, surroundings: Surroundings) -> Splits:
        _check_spec(spec)
        version = _version()
        sizes = {
            "test": spec.num_test or _DEFAULT_NUM_TEST,
            "validation": spec.num_validation,
            "train": spec.num_train or _DEFAULT_NUM_TRAIN,
        }
        wanted = sum(sizes.values())
        items: list[Item] = []
        for item in _new_items(_subset(spec), spec.seed):
            items.append(item)
            if len(items) % 50 == 0:
                surroundings.report(len(items), wanted, f"making {spec.source}")
            if len(items) == wanted:
                break
        if len(items) < wanted:
            raise UserError(
                f"`{spec.source}` (subset `{_subset(spec)}`) has about {len(items)} different "
                f"questions; {wanted} were asked for",
                hint="ask for fewer with `data.num_train`, `data.num_validation` and "
                "`data.num_test`, or set `data.subset: all`",
            )
        files: dict[str, tuple[RowsFile, ...]] = {}
        for split, size in sizes.items():
            files[split] = (_rows_file(f"{spec.source} {split}", items[:size]),)
            del items[:size]
        validation = files["validation"] if spec.num_validation else None
        return Splits(files["train"], validation, files["test"], version)

    def open_split(
        self, spec: DataSpec, split: str, surroundings: Surroundings
    ) -> tuple[RowsFile, ...]:
        splits = self.open(spec, surroundings)
        found = {"train": splits.train, "validation": splits.validation, "test": splits.test}
        files = found.get(split)
        if files is None:
            names = ", ".join(f"`{name}`" for name, each in found.items() if each)
            raise NoSuchSplitError(
                f"`{spec.source}` has no split `{split}`", hint=f"it has {names}"
            )
        return files


SOURCE = GsmSymbolicSource()


def _new_items(subset: str, seed: int) -> Iterator[Item]:
    """Items with questions not seen before, until hardly any new ones come."""
    keep: Callable[[Item], bool] = KEEPERS[subset]
    dataset_class, config_class = load_generator()
    # Neighbouring seeds share items in the generator (item i of seed s is item 0 of seed s + i).
    start = int(digest_text(f"gsm-symbolic {seed}")[:12], 16)
    seen: set[int] = set()
    num_new = _BATCH_ITEMS
    while num_new >= _MIN_NEW_PER_BATCH:
        num_new = 0
        for raw in dataset_class(config_class(seed=start, size=_BATCH_ITEMS)):
            item = item_of(raw)
            if item is None or not keep(item):
                continue
            key = question_key(item.question)
            if key not in seen:
                seen.add(key)
                num_new += 1
                yield item
        start += _BATCH_ITEMS


def _rows_file(label: str, items: list[Item]) -> RowsFile:
    def read() -> NumberedRows:
        return ((number, item._asdict()) for number, item in enumerate(items, start=1))

    return RowsFile(label, "row", read)


def _subset(spec: DataSpec) -> str:
    subset = spec.subset or _DEFAULT_SUBSET
    if subset not in KEEPERS:
        raise UserError(
            f"`{spec.source}` has no subset `{subset}` (`data.subset`)",
            hint=f"it has {' and '.join(f'`{name}`' for name in KEEPERS)}; leave it out for "
            f"`{_DEFAULT_SUBSET}`",
        )
    return subset


def _check_spec(spec: DataSpec) -> None:
    """Built-in data have fixed splits and columns: another name would be silently ignored."""
    fixed = {
        "train": (spec.train, "train"),
        "validation": (spec.validation or "validation", "validation"),
        "test": (spec.test, "test"),
        "columns": (spec.columns, Columns()),
    }
    for key, (given, only) in fixed.items():
        if given != only:
            raise UserError(
                f"`data.{key}` cannot be chosen for `{spec.source}`, whose splits and columns are "
                "fixed",
                hint=f"leave `data.{key}` out, or set `data.source` to your own files",
            )


def _version() -> str:
    try:
        return importlib.metadata.version(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(
            "`builtin:gsm-symbolic` needs the package reasoning-gym, which is not installed",
            hint="pip install --no-deps reasoning-gym",
        ) from error
