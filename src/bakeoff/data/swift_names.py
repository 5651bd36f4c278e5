"""A dataset as ms-swift's `--dataset` names it: `[hf::|ms::]ID_OR_PATH[:SUBSET/SUBSET][#COUNT]`.

Columns may have any name that ms-swift understands. Without `hf::` or `ms::` an id is looked for
where the recipe's `hub.order` says (ms-swift itself would ask ModelScope).
"""

from dataclasses import replace
from pathlib import Path

from bakeoff.base.hashing import digest_json
from bakeoff.base.sources import source_kind
from bakeoff.data.formats.reading import layout_of
from bakeoff.data.source_names import SwiftName, parse_swift_name
from bakeoff.data.sources import DATA_SOURCES, DataSource, RowsFile, Splits, Surroundings
from bakeoff.schema.recipe_subject import DataSpec


class SwiftSource:
    """Rows of several subsets follow each other; COUNT is how many rows are trained on."""

    def fingerprint(self, spec: DataSpec, *, base_dir: Path) -> str:
        name = _parsed(spec)
        source = _inner_source(name, base_dir)
        prints = [source.fingerprint(inner, base_dir=base_dir) for inner in _inner(spec, name)]
        return digest_json([spec.source, prints])

    def open(self, spec: DataSpec, surroundings: Surroundings) -> Splits:
        name = _parsed(spec)
        source = _inner_source(name, surroundings.base_dir)
        around = _with_swift_names(spec, surroundings)
        parts = [source.open(inner, around) for inner in _inner(spec, name)]
        watched = [file for part in parts for file in part.validation or ()]
        return Splits(
            tuple(file for part in parts for file in part.train),
            tuple(watched) if spec.validation else None,
            tuple(file for part in parts for file in part.test),
            parts[0].revision,
            name.num_rows,
        )

    def open_split(
        self, spec: DataSpec, split: str, surroundings: Surroundings
    ) -> tuple[RowsFile, ...]:
        name = _parsed(spec)
        source = _inner_source(name, surroundings.base_dir)
        around = _with_swift_names(spec, surroundings)
        return tuple(
            file for inner in _inner(spec, name) for file in source.open_split(inner, split, around)
        )


SOURCE = SwiftSource()


def _parsed(spec: DataSpec) -> SwiftName:
    name = parse_swift_name(spec.source)
    if name is None:
        raise AssertionError("only names of ms-swift's form come here")
    return name


def _inner_source(name: SwiftName, base_dir: Path) -> DataSource:
    if name.hub is not None:
        return DATA_SOURCES.get("hugging-face" if name.hub == "hf" else "modelscope")
    return DATA_SOURCES.get(source_kind(name.path, base_dir, key="data.source"))


def _inner(spec: DataSpec, name: SwiftName) -> list[DataSpec]:
    return [
        spec.model_copy(update={"source": name.path, "subset": subset})
        for subset in name.subsets or (spec.subset,)
    ]


def _with_swift_names(spec: DataSpec, surroundings: Surroundings) -> Surroundings:
    return replace(surroundings, layout=replace(layout_of(spec), swift_names=True))
