"""A recipe's trainings on devices that are not here: every strategy, every number of devices."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bakeoff.backends import BACKENDS
from bakeoff.planning.check import common_dialect
from bakeoff.predict.collective_time import nodes_of
from bakeoff.predict.device import Device
from bakeoff.predict.memory import needed_alike
from bakeoff.predict.simulate import ALONE, advise, reference_of, with_efficiency, with_front
from bakeoff.predict.step_time import exchanged_of, step_time
from bakeoff.predict.work import Work
from bakeoff.runner.fit import Fitter, Options
from bakeoff.runner.prepare import PreparedStudy
from bakeoff.runner.workspace import Workspace
from bakeoff.schema.plan import AxisValue, TrainPlan, World
from bakeoff.schema.prediction import Prediction
from bakeoff.schema.simulation import (
    Cluster,
    Scaling,
    SimulatedStep,
    SimulatedTraining,
    Simulation,
)
from bakeoff.strategies import STRATEGIES

_SPREADING = ("strategy", "world_size", "nodes", "seed", "repeats")
_MASTER_BYTES = 12
"""fp32 weight and two moments of a number that a host holds (ZeRO-Offload, arXiv:2101.06840)."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be simulated."""

    cluster: Cluster
    device: Device
    num_devices: tuple[int, ...]
    strategies: tuple[str, ...] = ()
    """Empty: all that the recipe's trainer takes."""

    mfu: float
    scalings: tuple[Scaling, ...] = ("strong", "weak")


def simulate(study: PreparedStudy, workspace: Workspace, asked: Asked) -> Simulation:
    """Every training of a recipe once, whatever strategies it names itself."""
    options = Options(device=asked.device, may_trace=False, may_advise=False)
    fitter = Fitter(study, workspace, options)
    return Simulation(
        study=study.plan.study,
        cluster=asked.cluster,
        limit_bytes=asked.device.limit_bytes or 0,
        mfu=asked.mfu,
        trainings=tuple(_training(plan, cell, fitter, asked) for plan, cell in _trainings(study)),
    )


def _trainings(study: PreparedStudy) -> Iterator[tuple[TrainPlan, dict[str, AxisValue]]]:
    found: list[tuple[TrainPlan, dict[str, AxisValue]]] = []
    plans = [step for step in study.plan.steps if isinstance(step, TrainPlan)]
    # Those of several processes first: they have the rows of a device, `single` has all.
    for plan in sorted(plans, key=lambda plan: -plan.world.num_processes):
        cell: dict[str, AxisValue] = {"backend": plan.backend, "method": plan.method}
        cell |= {
            key: plan.axes[key]
            for key in study.plan.axes
            if key in plan.axes and key not in _SPREADING
        }
        if cell not in [other for _, other in found]:
            found.append((plan, cell))
    yield from found


def _training(
    plan: TrainPlan, cell: dict[str, AxisValue], fitter: Fitter, asked: Asked
) -> SimulatedTraining:
    steps: list[SimulatedStep] = []
    reference: dict[Scaling, str] = {}
    advice: dict[Scaling, str] = {}
    try:
        _, first = fitter.predict(plan)
    except LookupError as error:
        return SimulatedTraining(
            cell=cell, steps=(), reference={}, advice={}, assumptions=(), problem=str(error)
        )
    for scaling in asked.scalings:
        # One device alone is what the others are held against, asked for or not.
        numbers = (1, *(number for number in asked.num_devices if number > 1))
        found = list(_Grid(plan, fitter, asked, scaling).steps(numbers))
        held = reference_of(found)
        shown = [step for step in found if step.num_devices in asked.num_devices]
        marked = with_front(with_efficiency(shown, held))
        steps += marked
        if held is not None:
            reference[scaling] = f"{held.strategy} on {held.num_devices}"
        advice[scaling] = advise(marked, scaling, asked.cluster.gpu.title)
    return SimulatedTraining(
        cell=cell,
        steps=tuple(steps),
        reference=reference,
        advice=advice,
        assumptions=first.assumptions,
    )


class _Grid:
    """The steps of one training, with equal rows a step or equal rows a device."""

    def __init__(self, plan: TrainPlan, fitter: Fitter, asked: Asked, scaling: Scaling) -> None:
        self._plan = plan
        self._fitter = fitter
        self._asked = asked
        self._scaling: Scaling = scaling
        self._alike: dict[tuple[str, int], Prediction] = {}

    def steps(self, numbers: Sequence[int]) -> Iterator[SimulatedStep]:
        for strategy in self._asked.strategies or strategies_of(self._plan.backend):
            for number in numbers:
                if _makes_sense(strategy, number):
                    yield self._step(strategy, number)
        if self._asked.strategies and ALONE not in self._asked.strategies:
            yield self._step(ALONE, 1)

    def _step(self, strategy: str, number: int) -> SimulatedStep:
        plan, rows_per_step = self._spread(strategy, number)
        cluster = self._asked.cluster
        largest = self._fitter.work(plan)
        needed = self._needed(plan, largest)
        work = self._fitter.average(plan, largest)
        exchanged = exchanged_of(work, strategy, number)
        time = step_time(work, exchanged, cluster, self._asked.mfu)
        return SimulatedStep(
            strategy=strategy,
            num_devices=number,
            num_nodes=nodes_of(number, cluster),
            scaling=self._scaling,
            rows_per_step=rows_per_step,
            rows_a_pass=work.rows,
            num_passes=work.accumulation,
            needed_bytes=needed,
            host_bytes=_host_bytes(work, min(number, cluster.devices_per_node)),
            fits=needed <= (self._asked.device.limit_bytes or 0),
            compute_seconds=time.compute,
            exchange_seconds=time.exchange,
            exposed_seconds=time.exposed,
            optimizer_seconds=time.optimizer,
            offload_seconds=time.offload,
            sent_bytes=round(time.sent_bytes),
            tokens_per_second=rows_per_step * work.tokens / time.total,
        )

    def _spread(self, strategy: str, number: int) -> tuple[TrainPlan, int]:
        """The plan over so many devices, and the rows of a step over all of them."""
        train = self._plan.train
        each = train.batch_size * train.gradient_accumulation
        rows_per_step = each * (
            self._plan.world.num_processes if self._scaling == "strong" else number
        )
        local = -(-rows_per_step // number)
        num_passes = -(-local // train.batch_size)
        settings = {"batch_size": -(-local // num_passes), "gradient_accumulation": num_passes}
        changed = {
            "strategy": strategy,
            "world": World(devices_per_node=number),
            "train": train.model_copy(update=settings),
        }
        return self._plan.model_copy(update=changed), rows_per_step

    def _needed(self, plan: TrainPlan, work: Work) -> int:
        kind = plan.strategy, plan.train.batch_size
        if kind not in self._alike:
            _, self._alike[kind] = self._fitter.predict(plan)
            return self._alike[kind].needed_bytes
        return needed_alike(work, self._alike[kind])


def strategies_of(backend: str) -> tuple[str, ...]:
    """Those that the backend can be told, `single` first."""
    accepts = BACKENDS.get(backend).accepts
    names = sorted(STRATEGIES.names(), key=lambda name: (name != ALONE, name))
    return tuple(
        name for name in names if common_dialect(STRATEGIES.get(name).speaks, accepts) is not None
    )


def _makes_sense(strategy: str, number: int) -> bool:
    """One device shares nothing, but can put things on its host."""
    if strategy == ALONE:
        return number == 1
    return number > 1 or strategy.endswith("-offload")


def _host_bytes(work: Work, devices: int) -> int:
    moved = (work.trained_numbers + work.adapter_numbers) / work.shards.optimizer
    optimizer = moved * _MASTER_BYTES if work.shards.offloads_optimizer else 0
    weights = work.stored_weight_bytes if work.shards.offloads_weights else 0
    return round(devices * (optimizer + weights))
