"""Optuna, as this package uses it: one study in the SQLite file of the search.

Everything that a killed search has to know lies in that file: which settings were tried, what came
of them, what is still queued.
"""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakeoff.compare.search_words import HIGHER_IS_BETTER
from bakeoff.schema.recipe_search import SearchSpec

if TYPE_CHECKING:
    import optuna

FIRST_RUNG = 20
"""Percent of a training before which no trial is ended: warm-up and noise reign there."""

FIRST_TRIALS = 3
"""So many whole trainings come before any is ended: there is nothing to fall behind before."""

_ETA = 3
"""Of the trials that reach a rung, one in so many goes on (Li et al. 2018, arXiv:1603.06560)."""


def open_proposals(path: Path, name: str, spec: SearchSpec) -> "optuna.Study":
    """The study ``name`` in the file, made if it is not there.

    Args:
        path: The SQLite file.
        name: Content id of what is searched: another space or another recipe is another study.
        spec: Method, pruning, objectives, seed.
    """
    with quiet():
        import optuna  # noqa: PLC0415 - slow to import

        path.parent.mkdir(parents=True, exist_ok=True)
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 30}}
        )
        # A resumed sampler must not propose again what it proposed first.
        done = _num_trials(storage, name)
        return optuna.create_study(
            storage=storage,
            study_name=name,
            load_if_exists=True,
            sampler=_sampler(spec, spec.seed + done),
            pruner=_pruner(spec),
            directions=[
                "maximize" if objective in HIGHER_IS_BETTER else "minimize"
                for objective in spec.objective
            ],
        )


def close_proposals(study: "optuna.Study") -> None:
    """Let go of the file."""
    storage: Any = study._storage
    backend = getattr(storage, "_backend", storage)
    backend.remove_session()
    backend.engine.dispose()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Optuna reports each trial and each part that may still change; ours does the telling."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import optuna  # noqa: PLC0415 - slow to import

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        yield


def _num_trials(storage: "optuna.storages.RDBStorage", name: str) -> int:
    for study in storage.get_all_studies():
        if study.study_name == name:
            return storage.get_n_trials(study._study_id)
    return 0


def _sampler(spec: SearchSpec, seed: int) -> "optuna.samplers.BaseSampler":
    import optuna  # noqa: PLC0415 - slow to import

    if spec.method == "cmaes":
        return optuna.samplers.CmaEsSampler(seed=seed, n_startup_trials=4)
    if spec.method == "tpe":
        # Settings are chosen together, conditional ones within their group (Bergstra et al. 2011;
        # multivariate: Falkner et al. 2018, arXiv:1807.01774).
        return optuna.samplers.TPESampler(
            seed=seed, multivariate=True, group=True, n_startup_trials=6, constant_liar=True
        )
    return optuna.samplers.RandomSampler(seed=seed)  # a grid is queued, and asks nobody


def _pruner(spec: SearchSpec) -> "optuna.pruners.BasePruner":
    import optuna  # noqa: PLC0415 - slow to import

    if spec.pruning == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=FIRST_RUNG, reduction_factor=_ETA
        )
    if spec.pruning == "hyperband":
        return optuna.pruners.HyperbandPruner(
            min_resource=FIRST_RUNG, max_resource=100, reduction_factor=_ETA
        )
    if spec.pruning == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=FIRST_TRIALS, n_warmup_steps=FIRST_RUNG)
    return optuna.pruners.NopPruner()
