"""How long NCCL takes for what all devices do together.

The model by which NCCL itself chooses (`src/graph/tuning.cc`, 2.2x): a start, a delay a hop, bytes
over the bandwidth of the narrowest way. A ring over N devices has N - 1 hops for a gathering or a
sum in parts, twice as many for a sum that all get (Thakur, Rabenseifner and Gropp 2005,
doi:10.1177/1094342005051521, section 4), and each device sends (N - 1) / N of the bytes, or twice
that (the bus bandwidth of `nccl-tests/doc/PERFORMANCE.md`). Rings run through every network adapter
of a machine, so that between machines its adapters count together. A sum can go along two trees
instead, whose depth grows with the logarithm of the number of machines. Of what is possible, the
fastest is taken.
"""

import math
from dataclasses import dataclass

from bakeoff.predict.exchange import Kind
from bakeoff.schema.simulation import Cluster


@dataclass(frozen=True)
class _Protocol:
    """One of NCCL's ways of writing; microseconds."""

    start: float
    tree_start: float
    hop: dict[str, float]
    tree_hop: dict[str, float]
    share: float
    """Of the bandwidth that carries data."""


_SIMPLE = _Protocol(
    start=8.4,
    tree_start=8.4,
    hop={"nvlink": 3.4, "pcie": 5.7, "network": 14.0},
    tree_hop={"nvlink": 4.0, "pcie": 4.0, "network": 14.0},
    share=1.0,
)
_LL128 = _Protocol(
    start=14.0,
    tree_start=14.0,
    hop={"nvlink": 1.9, "pcie": 2.5, "network": 4.0},
    tree_hop={"nvlink": 1.25, "pcie": 1.9, "network": 8.5},
    share=120 / 128,
)
"""Between devices with NVLink only."""

_TREE_SHARE = 0.92


def nodes_of(num_devices: int, cluster: Cluster) -> int:
    """Machines that so many devices take."""
    return math.ceil(num_devices / cluster.devices_per_node)


def bus_bytes_per_second(num_devices: int, cluster: Cluster) -> float:
    """Of the narrowest way of a ring."""
    speed = cluster.inside.gigabytes_per_second
    if nodes_of(num_devices, cluster) > 1:
        network = cluster.num_adapters * cluster.between.gigabytes_per_second
        # A machine with one device has no way inside.
        speed = network if cluster.devices_per_node == 1 else min(speed, network)
    return speed * 1e9


def seconds_of(kind: Kind, num_bytes: float, num_devices: int, cluster: Cluster) -> float:
    """One collective over ``num_devices``.

    Args:
        kind: What is done.
        num_bytes: Of the whole tensor.
        num_devices: That take part.
        cluster: Where.
    """
    if num_devices == 1 or num_bytes <= 0:
        return 0.0
    bandwidth = bus_bytes_per_second(num_devices, cluster)
    protocols = [_SIMPLE, _LL128] if cluster.inside.kind == "nvlink" else [_SIMPLE]
    found = [_ring(one, kind, num_bytes, num_devices, cluster, bandwidth) for one in protocols]
    if kind == "all_reduce":
        found += [_tree(one, num_bytes, num_devices, cluster, bandwidth) for one in protocols]
    return min(found)


def _ring(
    protocol: _Protocol,
    kind: Kind,
    num_bytes: float,
    num_devices: int,
    cluster: Cluster,
    bandwidth: float,
) -> float:
    rounds = 2 if kind == "all_reduce" else 1
    between = nodes_of(num_devices, cluster) - 1
    hops = (num_devices - 1 - between) * protocol.hop[cluster.inside.kind]
    hops += between * protocol.hop["network"]
    sent = rounds * num_bytes * (num_devices - 1) / num_devices
    return (protocol.start + rounds * hops) * 1e-6 + sent / (bandwidth * protocol.share)


def _tree(
    protocol: _Protocol, num_bytes: float, num_devices: int, cluster: Cluster, bandwidth: float
) -> float:
    """Along a chain inside of each machine, and two trees between them."""
    nodes = nodes_of(num_devices, cluster)
    inside = min(num_devices, cluster.devices_per_node) - 1
    hops = inside * protocol.tree_hop[cluster.inside.kind]
    hops += math.log2(nodes) * protocol.tree_hop["network"]
    speed = bandwidth * protocol.share * _TREE_SHARE
    return (protocol.tree_start + 2 * hops) * 1e-6 + 2 * num_bytes / speed
