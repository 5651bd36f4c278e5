"""A study of the three trainers on disk, as `examples/compare-frameworks.yaml` leaves it."""

from pathlib import Path

from tests.compare.factory import StudyOnDisk, make_provenance, make_train

from bakeoff.schema.record import Record

VERSIONS = {
    "builtin": {"torch": "2.13.0", "transformers": "5.23.0"},
    "llamafactory": {"llamafactory": "0.9.5", "torch": "2.13.0", "transformers": "5.6.0"},
    "swift": {"ms-swift": "4.6.0", "torch": "2.13.0", "transformers": "5.10.0"},
}
SLOWER = {"builtin": 1.0, "llamafactory": 1.5, "swift": 1.25}
SHARES = {"builtin": 0.42, "llamafactory": 0.40, "swift": 0.43}


def make_training(
    backend: str, *, method: str = "lora", seed: int = 0, **changes: object
) -> Record:
    """98.2 s of training with the built-in trainer, 1.5 and 1.25 times that with the others."""
    made = make_train(f"train-{backend}-{method}-s{seed}", method=method, seed=seed)
    measurement = made.measurement
    assert measurement is not None
    slower = SLOWER[backend] * (1 + seed / 10 if backend == "swift" else 1)
    values: dict[str, object] = {
        "cell": {**made.cell, "backend": backend},
        "effective": {**made.effective, "batch_digest": f"{method}-{seed}", "attention": backend},
        "measurement": measurement.model_copy(
            update={"train_seconds": 98.2 * slower, "peak_host_bytes": round(1.5e9 * slower)}
        ),
        "provenance": make_provenance(packages=VERSIONS[backend]),
    }
    return made.model_copy(update={**values, **changes})


def frameworks_study(
    runs_dir: Path, *, methods: tuple[str, ...] = ("lora",), seeds: tuple[int, ...] = (0,)
) -> StudyOnDisk:
    """The base model, and each trainer's models scored once."""
    study = StudyOnDisk(runs_dir)
    study.add_model("eval-base-d-0shot", 0.01, flexible=0.12)
    for method in methods:
        for backend, share in SHARES.items():
            for seed in seeds:
                training = study.add(make_training(backend, method=method, seed=seed))
                study.add_model(f"eval-{backend}-{method}-{seed}", share, parent=training)
    return study
