"""TensorBoard: a folder a run, with the settings and final numbers for its HParams tab."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bakeoff.interfaces import Point, RunEnd, TrackedRun

_STATUS = {"finished": "STATUS_SUCCESS", "failed": "STATUS_FAILURE"}


class TensorboardTracker:
    requirements: ClassVar[tuple[str, ...]] = ("tensorboard>=2.16",)
    is_parallel: ClassVar[bool] = True

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder

    def variables(self) -> Mapping[str, str]:
        return {}

    def address(self) -> str:
        return str(self._folder)

    def look(self) -> str:
        return f'tensorboard --logdir "{self._folder}"'

    def open(self, run: TrackedRun, known: str | None) -> "_Run":
        folder = self._folder / run.study / re.sub(r"[^\w\-.=,() ]", "_", run.unique_name)
        return _Run(folder, run, is_new=known is None or not folder.is_dir())


class _Run:
    """Writes through TensorBoard's own writer, at once, so that a kill loses nothing."""

    def __init__(self, folder: Path, run: TrackedRun, *, is_new: bool) -> None:
        from tensorboard.summary.writer.event_file_writer import (
            EventFileWriter,
        )

        self.id = str(folder)
        self.is_new = is_new
        self._writer = EventFileWriter(str(folder), flush_secs=5)
        if is_new:
            self._add(_session_start(run), at=run.began_at)
            self._add(_text("about", {**run.tags, **run.settings}), at=run.began_at)

    def log(self, points: Sequence[Point]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        for point in points:
            value = Summary.Value(tag=point.series, simple_value=point.value)
            self._add(Summary(value=[value]), at=point.at, step=point.step)
        self._writer.flush()

    def end(self, end: RunEnd) -> None:
        self.log([Point(series=s, step=0, value=v, at=end.at) for s, v in end.figures.items()])
        about: dict[str, Any] = {"status": end.status, "error": end.error, **end.tags}
        self._add(_text("result", {**about, **end.settings}), at=end.at)
        if end.status != "killed":  # the first end is the one that counts
            self._add(_session_end(end), at=end.at)
        self._writer.close()

    def _add(self, summary: Any, *, at: float, step: int = 0) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.add_event(Event(summary=summary, wall_time=at, step=step))


def _text(tag: str, rows: Mapping[str, Any]) -> Any:
    """A table on the Text tab."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    table = "\n".join(["| | |", "| --- | --- |", *_lines(rows)])
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
    tensor = TensorProto(dtype=DT_STRING, string_val=[table.encode()], tensor_shape=shape)
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])


def _lines(rows: Mapping[str, Any]) -> Iterator[str]:
    for name, value in rows.items():
        if value is not None:
            text = str(value).replace("|", "\\|").replace("\n", " ")
            yield f"| {name} | {text} |"


def _session_start(run: TrackedRun) -> Any:
    from tensorboard.plugins.hparams import plugin_data_pb2 as data

    session = data.SessionStartInfo(group_name=run.name, start_time_secs=run.began_at)
    for name, value in run.settings.items():
        if isinstance(value, bool):
            session.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            session.hparams[name].number_value = value
        elif value is not None:
            session.hparams[name].string_value = value
    return _hparams("_hparams_/session_start_info", session_start_info=session)


def _session_end(end: RunEnd) -> Any:
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

    status = api_pb2.Status.Value(_STATUS[end.status])
    session = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=end.at)
    return _hparams("_hparams_/session_end_info", session_end_info=session)


def _hparams(tag: str, **content: Any) -> Any:
    """As TensorBoard's own ``hparams.summary`` makes it, which needs TensorFlow."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    data = plugin_data_pb2.HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, **content)
    plugin = SummaryMetadata.PluginData(
        plugin_name=metadata.PLUGIN_NAME, content=data.SerializeToString()
    )
    value = Summary.Value(
        tag=tag, metadata=SummaryMetadata(plugin_data=plugin), tensor=metadata.NULL_TENSOR
    )
    return Summary(value=[value])
