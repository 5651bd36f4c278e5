"""A SLURM cluster through submitit: one job of `sbatch` for each task.

A job that comes to the end of its hours, is preempted or loses its machine is queued again, and
goes on from its checkpoints. Machines of such a cluster share the folder of the runs.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bakeoff.base.errors import RunError, UserError
from bakeoff.runner.cluster import Machine, gpus_needed
from bakeoff.runner.cluster_task import Done, Part, do_part
from bakeoff.schema.recipe_machine import SlurmSpec

FOLDER = ".slurm"
"""In the runs folder: what jobs are given and send back, and their logs, by number."""


@dataclass(frozen=True)
class SlurmCluster:
    """A ``Cluster``."""

    submitit: Any
    spec: SlurmSpec
    runs_dir: Path
    jobs: list[Any] = field(default_factory=list)

    def submit(self, part: Part) -> Any:
        wanted = self.spec.gpus_per_run
        num_gpus = gpus_needed(part.study.plan) if wanted is None else wanted
        return self._start(f"bakeoff {part.study.plan.study}", num_gpus, _Task(do_part_here, part))

    def is_done(self, job: Any) -> bool:
        return bool(job.done())

    def result_of(self, job: Any) -> Any:
        utils = self.submitit.core.utils
        try:
            result = job.result()
        except (utils.FailedJobError, utils.UncompletedJobError) as error:
            reason = f"its job {job.job_id} did not come to its end, see {job.paths.stderr}"
            raise RunError(reason, log_tail=str(error)) from error
        if isinstance(result, UserError):
            raise result
        return result

    def look(self, function: Callable[..., dict[str, Any]], *arguments: Any) -> list[Machine]:
        """At the machine that a job is given, which waits in the queue as any other."""
        job = self._start("bakeoff check", self.spec.gpus_per_run or 0, _Task(function, *arguments))
        try:
            found = self.result_of(job)
        except RunError as error:
            last = error.log_tail.strip().splitlines()[-1:]
            return [Machine(node=f"job {job.job_id}", found="; ".join([str(error), *last]))]
        return [Machine(node=f"job {job.job_id}", found=found)]

    def close(self) -> None:
        """Nobody waits any more for what is not done."""
        for job in self.jobs:
            if not job.done():
                job.cancel(check=False)

    def _start(self, name: str, num_gpus: int, task: "_Task") -> Any:
        spec = self.spec
        executor = self.submitit.SlurmExecutor(
            self.runs_dir.resolve() / FOLDER, max_num_timeout=spec.retries
        )
        asked = {
            "partition": spec.partition,
            "account": spec.account,
            "gpus_per_node": num_gpus or None,
            "mem": None
            if spec.memory_gb_per_run is None
            else f"{spec.memory_gb_per_run * 1e3:.0f}M",
            "setup": list(spec.setup) or None,
        }
        executor.update_parameters(
            job_name=name,
            time=max(1, round(60 * spec.hours_per_run)),
            cpus_per_task=spec.cpus_per_run,
            additional_parameters={"requeue": True, **spec.options},
            **{key: value for key, value in asked.items() if value is not None},
        )
        job = executor.submit(task)
        self.jobs.append(job)
        return job


@contextmanager
def slurm(spec: SlurmSpec, runs_dir: Path) -> Iterator[SlurmCluster]:
    """The cluster that this machine can submit to; what is not done at the end is cancelled.

    Raises:
        UserError: submitit is not installed, or this is no machine of a SLURM cluster.
    """
    try:
        import submitit  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise UserError(
            "`execution: slurm` needs submitit, which is not installed here",
            hint="pip install 'bakeoff[slurm]' (or `pip install submitit`)",
        ) from error
    if submitit.SlurmExecutor.affinity() <= 0:
        raise UserError(
            "there is no SLURM here: `srun` was not found",
            hint="start the study on a machine from which `sbatch` reaches the cluster",
        )
    cluster = SlurmCluster(submitit, spec, runs_dir)
    try:
        yield cluster
    finally:
        cluster.close()


class _Task:
    """Called by submitit in the job; `checkpoint` makes it queue a job again whose time is up."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._function = function
        self._arguments = arguments

    def __call__(self) -> Any:
        """What the function returns, or the person's mistake that it found."""
        try:
            return self._function(*self._arguments)
        except UserError as error:
            return error

    def checkpoint(self) -> Any:
        """The same again: it finds what was finished."""
        import submitit  # noqa: PLC0415 - in a job only

        return submitit.helpers.DelayedSubmission(self)


def do_part_here(part: Part) -> Done:
    """In a job, to which SLURM shows its own GPUs alone."""
    told = os.environ  # noqa: TID251 - of this very job
    gpus = told.get("CUDA_VISIBLE_DEVICES", "")
    return do_part(part, visible_gpus=gpus, node=told.get("SLURMD_NODENAME", ""))
