"""A Ray cluster, by Ray's own API: placement, resources, retries of what is lost."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bakeoff.base.errors import RunError, UserError
from bakeoff.runner.cluster import Machine, gpus_needed, machines_needed
from bakeoff.runner.cluster_task import Done, Part, do_part, join_part
from bakeoff.runner.join import withdraw_offer
from bakeoff.schema.plan import run_name
from bakeoff.schema.recipe_machine import RaySpec


@dataclass(frozen=True)
class _Job:
    """One task, or one on each of several machines that do a training together."""

    first: Any
    others: tuple[Any, ...] = ()
    machines: Any = None
    """Ray's placement group of the several."""


@dataclass(frozen=True)
class RayCluster:
    """A ``Cluster``."""

    ray: Any
    spec: RaySpec

    def submit(self, part: Part) -> _Job:
        num_machines = machines_needed(part.study.plan)
        if num_machines > 1:
            return self._submit_to_several(part, num_machines)
        strategy = "SPREAD" if self.spec.spread else "DEFAULT"
        return _Job(self._task(_do_part, part, strategy).remote(part))

    def _submit_to_several(self, part: Part, num_machines: int) -> _Job:
        for step in part.study.plan.runs:  # what an earlier attempt offered is given up
            withdraw_offer(part.workspace.runs_dir / run_name(step))
        util = self.ray.util
        machines = util.placement_group(
            [self._resources(part)] * num_machines,
            strategy="SPREAD" if self.spec.spread else "PACK",
        )
        strategies = [
            util.scheduling_strategies.PlacementGroupSchedulingStrategy(
                placement_group=machines, placement_group_bundle_index=index
            )
            for index in range(num_machines)
        ]
        first = self._task(_do_part_first, part, strategies[0]).remote(part)
        others = [self._task(_join_part, part, where).remote(part) for where in strategies[1:]]
        return _Job(first, tuple(others), machines)

    def _task(self, function: Callable[..., Any], part: Part, where: Any) -> Any:
        asked = self._resources(part)
        return self.ray.remote(function).options(
            name=f"bakeoff {part.study.plan.study}",
            num_cpus=asked["CPU"],
            num_gpus=asked.get("GPU", 0),
            memory=asked.get("memory"),
            resources=self.spec.resources or None,
            scheduling_strategy=where,
            max_retries=self.spec.retries,
            retry_exceptions=False,  # a run that fails is a result
        )

    def _resources(self, part: Part) -> dict[str, float]:
        """What each machine must have for a part, in Ray's words."""
        spec = self.spec
        gpus = gpus_needed(part.study.plan) if spec.gpus_per_run is None else spec.gpus_per_run
        memory = spec.memory_gb_per_run
        return {
            "CPU": spec.cpus_per_run,
            **({"GPU": gpus} if gpus else {}),
            **({} if memory is None else {"memory": int(memory * 1e9)}),
            **spec.resources,
        }

    def is_done(self, job: _Job) -> bool:
        """Those that join never end by themselves: one that did has failed."""
        return bool(self.ray.wait([job.first, *job.others], timeout=0)[0])

    def result_of(self, job: _Job) -> Done:
        try:
            return self._result_of(job)
        finally:
            if job.machines is not None:
                self.ray.util.remove_placement_group(job.machines)

    def _result_of(self, job: _Job) -> Done:
        (ended, *_), _ = self.ray.wait([job.first, *job.others])
        try:
            done: Done = self.ray.get(ended)
        except self.ray.exceptions.RayTaskError as error:
            cause = error.as_instanceof_cause()
            if isinstance(cause, UserError):
                raise UserError(str(cause), hint=cause.hint) from error
            raise
        except self.ray.exceptions.RayError as error:
            first = ended == job.first
            lost = (
                "its machine was lost too often" if first else "a machine that took part was lost"
            )
            raise RunError(f"{lost}: {str(error).splitlines()[0]}", log_tail="") from error
        return done

    def look(self, function: Callable[..., dict[str, Any]], *arguments: Any) -> list[Machine]:
        """At each machine of the cluster, with what Ray counts there."""
        strategy = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        alive = [node for node in self.ray.nodes() if node["Alive"]]
        tasks = [
            self.ray.remote(function)
            .options(
                num_cpus=0,
                max_retries=0,
                scheduling_strategy=strategy(node_id=node["NodeID"], soft=False),
            )
            .remote(*arguments)
            for node in alive
        ]
        return [self._machine(node, task) for node, task in zip(alive, tasks, strict=True)]

    def _machine(self, node: dict[str, Any], task: Any) -> Machine:
        resources, name = node["Resources"], node["NodeID"][:8]
        try:
            found: dict[str, Any] = self.ray.get(task, timeout=120)
        except self.ray.exceptions.RayError as error:
            host = node.get("NodeManagerHostname", "")
            reason = str(error).strip().splitlines()[-1]
            return Machine(node=f"{name} {host}".strip(), found=reason)
        counted = {
            "cpus": resources.get("CPU", 0.0),
            "gpus": resources.get("GPU", 0.0),
            "memory_gb": resources.get("memory", 0.0) / 1e9,
        }
        return Machine(node=name, found={**found, **counted})


def _do_part(part: Part) -> Done:
    return do_part(part, visible_gpus=_own_gpus(), node=_own_name())


def _do_part_first(part: Part) -> Done:
    """Where others join."""
    import ray  # noqa: PLC0415 - on a worker only

    with socket.socket() as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
    meeting = f"{ray.util.get_node_ip_address()}:{port}"
    return do_part(part, visible_gpus=_own_gpus(), node=_own_name(), rendezvous=meeting)


def _join_part(part: Part) -> None:
    join_part(part, visible_gpus=_own_gpus())


def _own_gpus() -> str:
    """On a worker of Ray's: what it may use."""
    import ray  # noqa: PLC0415 - on a worker only

    return ",".join(str(gpu) for gpu in ray.get_gpu_ids())


def _own_name() -> str:
    import ray  # noqa: PLC0415 - on a worker only

    return str(ray.get_runtime_context().get_node_id()[:8])


def import_ray() -> Any:
    """Ray itself.

    Raises:
        UserError: It is not installed.
    """
    try:
        import ray  # noqa: PLC0415 - an optional extra, and slow
    except ImportError as error:
        raise UserError(
            "`execution: ray` needs Ray, which is not installed here",
            hint="pip install 'bakeoff[ray]' (or `pip install ray`), on every machine of the "
            "cluster",
        ) from error
    return ray


@contextmanager
def ray_cluster(spec: RaySpec) -> Iterator[RayCluster]:
    """Ray, connected to the cluster as long as the block lasts.

    Raises:
        UserError: There is no such cluster, or Ray is not installed.
    """
    ray = import_ray()
    try:
        ray.init(
            address=spec.address,
            log_to_driver=False,
            logging_level="ERROR",
            configure_logging=False,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(
            f"no Ray cluster at `{spec.address}`: {str(error).splitlines()[0]}",
            hint="`ray start --head` on one machine, `ray start --address=HOST:6379` on the others",
        ) from error
    try:
        yield RayCluster(ray, spec)
    finally:
        ray.shutdown()
