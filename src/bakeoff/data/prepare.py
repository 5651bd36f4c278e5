"""The whole way: find the splits, check every row, refuse overlaps, draw, render, write."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bakeoff.base.errors import UserError
from bakeoff.base.files import folder_when_whole, write_json_atomic, write_jsonl
from bakeoff.base.hashing import digest_files, digest_json
from bakeoff.base.hub import HubAccess, Report, say_nothing
from bakeoff.data.draw import Draw, draw_rows
from bakeoff.data.formats.reading import layout_of
from bakeoff.data.overlap import Overlap, find_overlap, overlap_error, question_key
from bakeoff.data.prompt import PromptRenderer, make_renderer
from bakeoff.data.sources import RowsFile, Splits, Surroundings, source_of
from bakeoff.data.spool import Spool
from bakeoff.schema.chat_template import ChatTemplate
from bakeoff.schema.recipe_subject import DataSpec, PromptSpec
from bakeoff.schema.results import DataManifest

_LAYOUT_VERSION = 3
"""Raised whenever the same files would be prepared to other rows."""

_ROWS_PER_REPORT = 5_000


def fingerprint(spec: DataSpec, *, base_dir: Path) -> str:
    """What identifies the rows, found cheaply and without a network.

    Local files count by their content, built-in data by generator and version, a dataset on a hub
    by its name and revision: without a pinned revision a change there goes unnoticed until the
    prepared rows are removed.

    Raises:
        UserError: The source is not there.
    """
    source = source_of(spec, base_dir)
    return digest_json([_LAYOUT_VERSION, source.fingerprint(spec, base_dir=base_dir)])


def prepare(  # noqa: PLR0913 - two documents, three places, and how to reach and to report
    spec: DataSpec,
    prompt: PromptSpec,
    *,
    base_dir: Path,
    cache_dir: Path,
    output_dir: Path,
    chat: ChatTemplate | None = None,
    hub: HubAccess = HubAccess(),
    progress: Report | None = None,
) -> DataManifest:
    """Write checked, split and rendered rows into ``output_dir``; see :class:`DataManifest`.

    Every row of every named split is checked, and overlaps are looked for in whole splits, before
    anything is drawn: whether a dataset is refused depends on the dataset, not on seed or sizes.

    Args:
        spec: Which rows.
        prompt: How they become text.
        base_dir: Folder of the recipe, from which its relative paths start.
        cache_dir: Where downloads are kept.
        output_dir: Appears when whole, replacing what was there.
        chat: The model's template, for a prompt that is a chat.
        hub: How to reach the hub.
        progress: Called with what is done, the total (0: not known) and what is going on.

    Raises:
        UserError: Whatever is wrong with the recipe's data, its rows or the way to them.
    """
    report = progress or say_nothing
    renderer = make_renderer(prompt, chat)
    surroundings = Surroundings(base_dir, cache_dir, hub, report)
    splits = source_of(spec, base_dir).open(spec, surroundings)
    with folder_when_whole(output_dir) as folder:
        with contextlib.ExitStack() as stack:
            spools = {
                split: stack.enter_context(_filled_spool(split, files, spec, folder, report))
                for split, files in _named_files(splits).items()
            }
            test = spools["test"]
            others = [spool for split, spool in spools.items() if split != "test"]
            overlap = find_overlap(test, others)
            if overlap.num_rows and not spec.allow_overlap:
                raise overlap_error(overlap, len(test))
            draws = draw_rows(
                _limited(spec, splits.num_train),
                train=spools["train"],
                validation=spools.get("validation"),
                test=test,
            )
            for split, draw in draws.items():
                report(0, 0, f"writing {split}.jsonl")
                _require_questions(split, draw)
                write_jsonl(folder / f"{split}.jsonl", _rendered(draw, renderer))
        manifest = _manifest(spec, splits.revision, draws, overlap, renderer, folder)
        write_json_atomic(folder / "manifest.json", manifest.model_dump(mode="json"))
    return manifest


def _limited(spec: DataSpec, num_train: int | None) -> DataSpec:
    """The recipe's number of training rows, or the source's own where that is smaller."""
    sizes = [size for size in (spec.num_train, num_train) if size is not None]
    return spec.model_copy(update={"num_train": min(sizes)}) if sizes else spec


def _named_files(splits: Splits) -> dict[str, tuple[RowsFile, ...]]:
    named = {"train": splits.train, "test": splits.test}
    return named if splits.validation is None else {**named, "validation": splits.validation}


@contextlib.contextmanager
def _filled_spool(
    split: str, files: tuple[RowsFile, ...], spec: DataSpec, folder: Path, report: Report
) -> Iterator[Spool]:
    def on_row(num_rows: int, label: str) -> None:
        if num_rows % _ROWS_PER_REPORT == 0:
            report(num_rows, 0, f"checking {label}")

    with Spool(split, folder / f".{split}.spool") as spool:
        spool.fill(files, layout_of(spec), key=question_key, on_row=on_row)
        if not len(spool):
            names = ", ".join(file.label for file in files)
            raise UserError(
                f"{names}: expected rows for `data.{split}`, but there are none",
                hint="name another file or split, or fill this one",
            )
        yield spool


def _rendered(draw: Draw, renderer: PromptRenderer) -> Iterator[dict[str, Any]]:
    for index in draw.indices:
        row = draw.spool.row(index)
        try:
            segments, asked, context = renderer.render(row)
        except UserError as error:
            raise UserError(f"{draw.spool.place(index)}: {error}", hint=error.hint) from error
        yield {
            "id": draw.spool.row_id(index),
            "context": context,
            "asked": asked,
            "prompt": row.prompt,
            "response": row.response,
            "messages": [
                {"role": turn.role, "content": turn.content, "loss": turn.loss}
                for turn in row.conversation
            ],
            "segments": segments,
        }


def _require_questions(split: str, draw: Draw) -> None:
    if split != "test":
        return
    for index in draw.indices:
        if not draw.spool.row(index).prompt:
            raise UserError(
                f"{draw.spool.place(index)}: plain text has no question, so it cannot be scored",
                hint="name questions with answers for `data.test`; plain text can be trained on",
            )


def _manifest(
    spec: DataSpec,
    revision: str | None,
    draws: dict[str, Draw],
    overlap: Overlap,
    renderer: PromptRenderer,
    folder: Path,
) -> DataManifest:
    names = [f"{split}.jsonl" for split in draws]
    return DataManifest(
        source=spec.source,
        revision=revision,
        digest=digest_files({name: folder / name for name in names}),
        num_rows={split: len(draw.indices) for split, draw in draws.items()},
        num_overlapping=overlap.num_rows,
        template_digest=renderer.digest,
    )
