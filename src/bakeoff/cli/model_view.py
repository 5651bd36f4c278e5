"""A model's description for people."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bakeoff.compare.numbers import MISSING, num_bytes, parameters
from bakeoff.schema.model_info import ModelInfo


def model_view(info: ModelInfo) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _facts(info):
        table.add_row(name, Text(value))
    traps = [Text.assemble(("trap: ", "yellow"), trap) for trap in info.traps]
    return Group(Text(info.source, "bold"), table, *traps)


def _facts(info: ModelInfo) -> list[tuple[str, str]]:
    total = sum(file.num_bytes for file in info.files)
    came = ", ".join(
        part
        for part in (info.fetched_from, f"commit {info.revision}" if info.revision else "")
        if part
    )
    tied = " (output layer shared with the embedding)" if info.tied_embeddings else ""
    return [
        ("folder", info.folder),
        ("fetched from", came or MISSING),
        ("architecture", f"{info.architecture or MISSING} ({info.model_type or MISSING})"),
        ("parameters", f"{parameters(info.num_parameters)}{tied}"),
        ("stored as", ", ".join(info.dtypes) or MISSING),
        ("context", f"{_number(info.context_length)} tokens"),
        ("vocabulary", f"{_number(info.vocabulary_size)} tokens"),
        ("kind", f"{info.kind}: {', '.join(info.kind_reasons)}"),
        ("chat template", _template(info.chat_template)),
        ("end of sequence", _token(info.eos_token, info.eos_token_id)),
        ("generation ends at", _ends(info.generation_eos_token_ids)),
        ("padding", _token(info.pad_token, info.pad_token_id)),
        ("licence", info.licence or MISSING),
        ("files", f"{len(info.files)}, {num_bytes(total)}"),
        *((f"  {file.name}", num_bytes(file.num_bytes)) for file in info.files),
    ]


def _number(value: int | None) -> str:
    return MISSING if value is None else f"{value:,}"


def _template(text: str | None) -> str:
    if text is None:
        return "none"
    first = " ".join(text.split())
    return f"{len(text)} characters: {first[:100]}{'...' if len(first) > 100 else ''}"


def _token(text: str | None, number: int | None) -> str:
    return "none" if text is None else f"{text} ({MISSING if number is None else number})"


def _ends(ids: tuple[int, ...] | None) -> str:
    if ids is None:
        return "no generation_config.json"
    return ", ".join(str(number) for number in ids) or "nothing"
