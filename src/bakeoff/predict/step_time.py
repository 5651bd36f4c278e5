"""How long an optimiser step takes on many devices: computing, waiting for each other, AdamW.

What a device computes meanwhile hides the exchange, but for one piece: the first weights are
gathered before anything can compute, the last gradients are summed when nothing is left to compute
(Zhao et al. 2023, arXiv:2304.11277, section 3.3; Li et al. 2020, arXiv:2006.15704, section 3.2). A
piece is a layer, or a bucket of gradients. What nothing is computed behind is waited for whole.
That the exchange takes a part of the device from what computes is left out.
"""

from dataclasses import dataclass

from bakeoff.predict.collective_time import seconds_of
from bakeoff.predict.duration import (
    flops_per_second,
    flops_per_token,
    forward_flops_per_token,
    optimizer_seconds,
)
from bakeoff.predict.exchange import Behind, Collective, Exchanged, collectives_of
from bakeoff.predict.work import Work
from bakeoff.schema.simulation import Cluster

_DDP_BUCKET_BYTES = 25 * 1024**2
"""torch's `bucket_cap_mb`."""

_HOST_STEP_BYTES = 80
"""That torch's AdamW, operation by operation, reads and writes for a number in fp32 on a host:
decay 8, first moment 12, second moment 8 and 12, root 8, correction 8, epsilon 8, update 16."""


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """Seconds of one step of each device."""

    compute: float
    exchange: float
    exposed: float
    optimizer: float
    offload: float
    sent_bytes: float

    @property
    def total(self) -> float:
        return self.compute + self.exposed + self.optimizer + self.offload


def exchanged_of(work: Work, strategy: str, num_devices: int) -> Exchanged:
    """What the devices exchange, in the number formats that the training keeps weights in."""
    adapters = float(work.adapter_numbers * work.adapter_bytes)
    trained = work.trained_numbers * work.weight_bytes + adapters
    return Exchanged(
        strategy=strategy,
        num_processes=num_devices,
        num_passes=work.accumulation,
        weight_bytes=work.stored_weight_bytes * work.shards.weights + adapters,
        trained_bytes=trained,
        gradient_bytes=trained,
    )


def step_time(work: Work, exchanged: Exchanged, cluster: Cluster, efficiency: float) -> StepTime:
    """One step.

    Args:
        work: The training of one device, with ``shards`` of the strategy; ``rows``, ``tokens`` and
            ``accumulation`` as they are on average.
        exchanged: What is exchanged.
        cluster: Where.
        efficiency: Share of the GPU's stated speed while it computes.
    """
    speed = flops_per_second(work, cluster.gpu, efficiency)
    forward = work.all_tokens * forward_flops_per_token(work) / speed
    backward = work.all_tokens * flops_per_token(work) / speed - forward
    all_exchange = collectives_of(exchanged) or ()
    to_host = _host_seconds(work, exchanged, cluster)
    phases: dict[Behind, float] = {"forward": forward, "backward": backward, "nothing": 0.0}
    exposed = waited = 0.0
    for behind, computing in phases.items():
        meanwhile = [one for one in all_exchange if one.behind == behind]
        once = behind == "nothing"
        times = max([one.times for one in meanwhile], default=1 if once else work.accumulation)
        sent = sum(_seconds(one, work, exchanged, cluster) for one in meanwhile)
        pieces = _pieces(meanwhile, work)
        alone = times * _exposed(sent, computing, pieces)
        exposed += alone
        waited += times * _exposed(sent + to_host[behind], computing, pieces) - alone
    return StepTime(
        compute=work.accumulation * (forward + backward),
        exchange=sum(one.times * _seconds(one, work, exchanged, cluster) for one in all_exchange),
        exposed=exposed,
        optimizer=_optimizer_seconds(work, exchanged, cluster),
        offload=waited,
        sent_bytes=sum(one.sent_bytes(exchanged.num_processes) for one in all_exchange),
    )


def _exposed(exchange: float, computing: float, pieces: int) -> float:
    """Of an exchange in equal pieces, the part that is waited for."""
    return max(exchange / pieces, exchange - computing * (1 - 1 / pieces))


def _seconds(one: Collective, work: Work, exchanged: Exchanged, cluster: Cluster) -> float:
    """Of one time, in all of its pieces."""
    pieces = _pieces([one], work)
    each = seconds_of(one.kind, one.num_bytes / pieces, exchanged.num_processes, cluster)
    return pieces * each


def _pieces(some: list[Collective], work: Work) -> int:
    """Messages that tensors go in: layers and what is outside of them, or buckets."""
    if work.shards.gathers_layers:
        return work.shape.layers + 1
    bucket: float = work.shards.bucket_numbers * work.weight_bytes or _DDP_BUCKET_BYTES
    return max([round(one.num_bytes / bucket + 0.5) for one in some], default=1)


def _optimizer_seconds(work: Work, exchanged: Exchanged, cluster: Cluster) -> float:
    if not work.shards.offloads_optimizer:
        return optimizer_seconds(work, cluster.gpu)
    moved = (work.trained_numbers + work.adapter_numbers) / work.shards.optimizer
    together = min(cluster.devices_per_node, exchanged.num_processes)
    return together * moved * _HOST_STEP_BYTES / (cluster.host_gigabytes_per_second * 1e9)


def _host_seconds(work: Work, exchanged: Exchanged, cluster: Cluster) -> dict[Behind, float]:
    """Between a device and its host, each time that something is computed or nothing is.

    A part of the gradients goes there in the backward pass, the new weights come back after the
    step; weights that lie there come for each pass.
    """
    way = cluster.pcie_gigabytes_per_second * 1e9
    gradients = new = weights = 0.0
    if work.shards.offloads_optimizer:
        gradients = exchanged.gradient_bytes / work.shards.optimizer / way
        new = exchanged.trained_bytes / work.shards.optimizer / way
    if work.shards.offloads_weights:
        new = 0.0  # they stay there
        weights = exchanged.weight_bytes / work.shards.weights / way
    return {"forward": weights, "backward": weights + gradients, "nothing": new}
