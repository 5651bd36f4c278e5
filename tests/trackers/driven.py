"""Drives one tracker in a process of its own, as a reporter does, and reads back what it kept.

``python driven.py NAME FOLDER`` prints JSON; a client keeps its state for the life of a process.
"""

import json
import os
import shutil
import struct
import sys
from pathlib import Path

from bakeoff.interfaces import Point, RunEnd, TrackedRun
from bakeoff.trackers import TRACKERS

RUN = TrackedRun(
    study="tiny",
    run_id="train-builtin-lora-0123456789ab",
    name="train lora builtin learning_rate=0.001",
    kind="train",
    began_at=1_000_000_000.0,
    settings={"train.learning_rate": 1e-3, "method": "lora", "lora.use_dora": False, "seed": 0},
    tags={"study": "tiny", "model": "模型", "data": "data/gsm8k"},
)
EVALUATION = TrackedRun(
    study="tiny",
    run_id="eval-lora-data-0shot-ba9876543210",
    name="evaluate lora builtin, data, 0-shot",
    kind="eval",
    began_at=1_000_000_020.0,
    settings={"method": "lora"},
    tags={"study": "tiny"},
    parent_run_id=RUN.run_id,
)
SCORE = "score/data 0-shot/exact_match strict-match"


def point(series, step, value):
    return Point(series=series, step=step, value=value, at=1_000_000_000.0 + step)


def drive(tracker, folder):
    """A run that is interrupted, goes on, and finishes; its evaluation, which fails."""
    first = tracker.open(RUN, None)
    first.log([point("train/loss", 1, 3.0), point("train/grad_norm", 1, float("nan"))])
    first.log([point("memory/host_gib", 0, 0.5), point("memory/host_gib", 1, 0.75)])
    first.end(RunEnd(status="killed", at=1_000_000_005.0))

    second = tracker.open(RUN, first.id)
    second.log([point("train/loss", 2, 2.0), point("train/loss", 3, 1.5)])
    record = folder / "record.json"
    record.write_text("{}", encoding="utf-8")
    second.end(
        RunEnd(
            status="finished",
            at=1_000_000_009.0,
            figures={"result/wall_seconds": 9.0},
            settings={"effective.num_steps": 3},
            tags={"status": "finished", "data": "data/gsm8k", "data_digest": "d" * 64},
            files=[record],
        )
    )
    evaluation = tracker.open(EVALUATION, None)
    evaluation.log([point("progress/questions", 4, 4.0)])
    evaluation.end(
        RunEnd(status="failed", at=1_000_000_030.0, error="out of memory", figures={SCORE: 0.25})
    )
    return {"new": [first.is_new, second.is_new, evaluation.is_new], "same": first.id == second.id}


def read_mlflow(tracker, folder):
    from mlflow.tracking import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name("tiny").experiment_id
    found = {run.data.tags["bakeoff.run_id"]: run for run in client.search_runs([experiment])}
    training, evaluation = found[RUN.run_id], found[EVALUATION.run_id]
    losses = client.get_metric_history(training.info.run_id, "train/loss")
    assert training.info.run_name == RUN.name
    assert training.data.params["train.learning_rate"] == "0.001"
    assert training.data.params["effective.num_steps"] == "3"
    assert training.data.tags["bakeoff.model"] == "模型"
    assert training.data.metrics[SCORE] == evaluation.data.metrics[SCORE] == 0.25
    assert training.inputs.dataset_inputs[0].dataset.name == "gsm8k"
    assert evaluation.data.tags["mlflow.parentRunId"] == training.info.run_id
    assert evaluation.data.tags["bakeoff.error"] == "out of memory"
    assert [f.path for f in client.list_artifacts(training.info.run_id)] == ["record.json"]
    assert [metric.timestamp for metric in losses] == [
        1_000_000_000_000 + 1000 * s for s in (1, 2, 3)
    ]
    return {
        "losses": [[metric.step, metric.value] for metric in losses],
        "wall": training.data.metrics["result/wall_seconds"],
        "status": [training.info.status, evaluation.info.status],
        "num_runs": len(found),
    }


def read_tensorboard(tracker, folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    runs = {}
    for path in (folder / "tensorboard" / "tiny").iterdir():
        runs[path.name] = EventAccumulator(str(path))
        runs[path.name].Reload()
    training, evaluation = runs[RUN.unique_name], runs[EVALUATION.unique_name]
    status = []
    for run in (training, evaluation):
        content = run.SummaryMetadata("_hparams_/session_end_info").plugin_data.content
        data = plugin_data_pb2.HParamsPluginData.FromString(content)
        status.append(data.session_end_info.status)
    start = training.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    hparams = plugin_data_pb2.HParamsPluginData.FromString(start).session_start_info.hparams
    assert hparams["train.learning_rate"].number_value == 1e-3
    assert hparams["lora.use_dora"].WhichOneof("kind") == "bool_value"
    assert evaluation.Scalars(SCORE)[0].value == 0.25
    assert [event.wall_time for event in training.Scalars("train/loss")] == [
        1_000_000_001.0, 1_000_000_002.0, 1_000_000_003.0,
    ]  # fmt: skip
    return {
        "losses": [[event.step, event.value] for event in training.Scalars("train/loss")],
        "wall": training.Scalars("result/wall_seconds")[0].value,
        "status": status,
        "num_runs": len(runs),
    }


def read_trackio(tracker, folder):
    from trackio.sqlite_storage import SQLiteStorage

    training = SQLiteStorage.get_logs("tiny", RUN.unique_name)
    config = SQLiteStorage.get_run_config("tiny", RUN.unique_name)
    assert config["train.learning_rate"] == 1e-3
    ends = [row for row in training if "status" in row]
    failed = SQLiteStorage.get_logs("tiny", EVALUATION.unique_name)[-1]
    assert failed[SCORE] == 0.25
    return {
        "losses": [[row["step"], row["train/loss"]] for row in training if "train/loss" in row],
        "wall": ends[-1]["result/wall_seconds"],
        "status": [ends[-1]["status"], failed["status"]],
        "num_runs": len(SQLiteStorage.get_runs("tiny")),
    }


def read_wandb(tracker, folder):
    """Its own reader is a part of `wandb sync`: the file is LevelDB's log of protobuf records."""
    from wandb.proto.wandb_internal_pb2 import Record

    losses, wall, codes, names = [], None, {}, set()
    for path in sorted((folder / "wandb" / "wandb").glob("offline-run-*/*.wandb")):
        for content in leveldb_records(path.read_bytes()[7:]):
            record = Record.FromString(content)
            if record.HasField("run"):
                names.add(record.run.run_id)
                assert record.run.project == "tiny"
            items = {i.key or "/".join(i.nested_key): json.loads(i.value_json)
                     for i in record.history.item}  # fmt: skip
            if "train/loss" in items:
                losses.append([items["step"], items["train/loss"]])
            for item in record.summary.update:
                name = item.key or "/".join(item.nested_key)
                wall = json.loads(item.value_json) if name == "result/wall_seconds" else wall
            if record.HasField("exit"):
                codes[path.stem] = record.exit.exit_code
    return {
        "losses": losses,
        "wall": wall,
        "status": [codes[f"run-{RUN.run_id}"], codes[f"run-{EVALUATION.run_id}"]],
        "num_runs": len(names),
    }


def leveldb_records(content):
    position, whole = 0, b""
    while position + 7 <= len(content):
        room = 32768 - (position + 7) % 32768
        if room < 7:
            position += room
            continue
        _, size, kind = struct.unpack("<IHB", content[position : position + 7])
        whole += content[position + 7 : position + 7 + size]
        position += 7 + size
        if kind in (1, 4):
            yield whole
            whole = b""


def read_swanlab(tracker, folder):
    from swanlab.proto.swanlab.record.v1.record_pb2 import Record
    from swanlab.sdk.internal.core_python.store import DataStoreReader

    losses, wall, states, names = [], None, {}, set()
    for path in sorted((folder / "swanlab").glob("run-*/*.swanlab")):
        reader = DataStoreReader()
        reader.open(path)
        for content in reader:
            record = Record.FromString(content)
            if record.HasField("start"):
                run_id = record.start.id
                names.add(run_id)
                assert record.start.project == "tiny"
            elif record.HasField("finish"):
                states[run_id] = record.finish.state
            elif record.scalar.key == "train/loss":
                losses.append([record.scalar.step, record.scalar.value.number])
            elif record.scalar.key == "result/wall_seconds":
                wall = record.scalar.value.number
    content_id = RUN.run_id.rpartition("-")[2]
    config = next((folder / "swanlab").glob(f"run-*{content_id}*/files/config.yaml"))
    assert "train.learning_rate" in config.read_text(encoding="utf-8")
    return {
        "losses": losses,
        "wall": wall,
        "status": [states[RUN.run_id], states[EVALUATION.run_id]],
        "num_runs": len(names),
    }


def lose(name, folder):
    """As when a person deletes what the tracker kept."""
    if name != "mlflow":
        shutil.rmtree(folder / name)
        return
    from mlflow.tracking import MlflowClient

    client = MlflowClient()
    for run in client.search_runs([client.get_experiment_by_name("tiny").experiment_id]):
        client.delete_run(run.info.run_id)


def main():
    name, folder = sys.argv[1], Path(sys.argv[2])
    tracker = TRACKERS.get(name)(folder / name, dict(os.environ))
    os.environ.update({**tracker.variables(), **os.environ})
    told = drive(tracker, folder)
    told["read"] = globals()[f"read_{name}"](tracker, folder)
    lose(name, folder)
    gone = tracker.open(RUN, RUN.run_id)
    told["new"].append(gone.is_new)
    gone.end(RunEnd(status="finished", at=1_000_000_040.0))
    (folder / "told.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
