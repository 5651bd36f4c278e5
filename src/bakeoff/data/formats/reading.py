"""From the rows of a file to conversations: the format named by the recipe, or seen from a row."""

from collections.abc import Mapping, Sequence

from bakeoff.data.formats import ROW_FORMATS
from bakeoff.data.mistakes import MissingColumnError
from bakeoff.data.rows import Row, missing_column, not_an_object, row_of
from bakeoff.interfaces import RowFormat
from bakeoff.schema.recipe_subject import Columns, DataSpec, Tags
from bakeoff.schema.sample import Layout, Sample

AUTO = "auto"


def layout_of(spec: DataSpec) -> Layout:
    """What a recipe says about its rows.

    The usual names of `columns.prompt` and `columns.response` count as not named, so that rows of
    other formats are read without a word about columns.
    """
    return make_layout(spec.format, spec.columns, spec.tags)


def make_layout(format_name: str, columns: Columns, tags: Tags) -> Layout:
    """See :func:`layout_of`."""
    usual = Columns()
    named = columns.model_dump(exclude_none=True)
    if (columns.prompt, columns.response) == (usual.prompt, usual.response):
        del named["prompt"], named["response"]
    return Layout(format_name, named, tags.model_dump(exclude_none=True))


class RowReader:
    """Reads the rows of one file; all of them are of the format of its first row."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._format_name: str | None = None
        self._format: RowFormat | None = None
        self._unseen: dict[str, str] = {}

    def sample(self, value: object, *, where: str) -> Sample:
        """The conversation that a row holds.

        Raises:
            UserError: What was expected there and what came.
        """
        if not isinstance(value, dict):
            raise not_an_object(value, Columns(), where=where)
        if self._format is None:
            self._format_name = _chosen_format(value, self._layout, where=where)
            self._format = ROW_FORMATS.get(self._format_name)
            self._unseen = {
                role: name
                for role, name in self._format.columns(self._layout, ()).items()
                if role in self._layout.columns
            }
        if self._unseen:
            self._unseen = {role: name for role, name in self._unseen.items() if name not in value}
        return self._format.read(value, self._layout, where=where)

    def row(self, value: object, *, where: str) -> Row:
        """The row as it is trained on; see :meth:`sample`."""
        return row_of(self.sample(value, where=where), where=where)

    @property
    def format_name(self) -> str | None:
        """What the rows are read as; None before the first of a known format."""
        return self._format_name

    def columns(self, value: object) -> Mapping[str, str]:
        """Columns that such a row is read from, by their roles; none before the format is known."""
        if self._format is None or not isinstance(value, dict):
            return {}
        return self._format.columns(self._layout, value)

    def unread(self, value: object) -> set[str]:
        """Columns of the row read last that no part of its conversation came from."""
        if self._format is None or not isinstance(value, dict):
            return set()
        return value.keys() - set(self.columns(value).values())

    def finish(self, *, where: str) -> None:
        """Called after the last row of the file ``where``.

        Raises:
            UserError: A column that is named, and that a row may lack, stood in no row at all.
        """
        for role, name in self._unseen.items():
            raise MissingColumnError(
                f"{where}: no row has the column `{name}`, which `data.columns.{role}` names",
                hint="correct the name, or take it out of `data.columns`",
            )


def _chosen_format(row: Mapping[str, object], layout: Layout, *, where: str) -> str:
    if layout.format == AUTO:
        return find_format(row, layout, where=where)
    return layout.format


def find_format(row: Mapping[str, object], layout: Layout, *, where: str) -> str:
    """Name of the format that such a row is surest to be of.

    Raises:
        UserError: It looks like none, naming the columns that are there.
    """
    fits = {name: ROW_FORMATS.get(name).fit(row, layout) for name in ROW_FORMATS.names()}
    best = max(fits, key=lambda name: fits[name])
    if fits[best]:
        return best
    inside = _rows_inside(row)
    if inside is not None:
        raise MissingColumnError(
            f"{where}: the rows lie inside `{inside}`, one level below the top",
            hint=f"write the list under `{inside}` alone into the file",
        )
    missing = next(
        (role, name)
        for role, name in {"prompt": "question", "response": "answer"}.items()
        if name not in row
    )
    raise missing_column(missing[1], missing[0], present=[str(name) for name in row], where=where)


def _rows_inside(row: Mapping[str, object]) -> str | None:
    """The key under which a whole dataset lies, as in `{"data": [{...}, {...}]}`."""
    for name, value in row.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return name
    return None


def choose_columns(layout: Layout, present: Sequence[str], *, where: str) -> list[str]:
    """The columns of a table that are needed, known from its header alone.

    Raises:
        UserError: One that every row must have is not there, or the table is of no known format.
    """
    row_format = ROW_FORMATS.get(_chosen_format(dict.fromkeys(present), layout, where=where))
    columns = row_format.columns(layout, present)
    for role, name in columns.items():
        if name not in present:
            raise missing_column(name, role, present=present, where=where)
    return list(columns.values())
