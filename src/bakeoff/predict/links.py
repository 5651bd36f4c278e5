"""Ways between devices.

Bandwidths are those that NCCL counts on, which are below the makers' (`src/graph/topo.h`, 2.2x:
NVLink 20 GB/s a link of V100 and A100, 20.6 of H100, 12 of the bridge of an RTX 3090, 40.1 of B200;
PCIe 12 GB/s for sixteen lanes of the third generation, twice that for each further one; a network
its bits over 8). An A100 has 12 links, an H100 18, a V100 6, A800 and H800 8.
"""

import difflib
import re
from typing import Literal

from bakeoff.base.errors import UserError
from bakeoff.schema.prediction import Gpu
from bakeoff.schema.simulation import Cluster, Link

_INSIDE: tuple[tuple[str, str, float], ...] = (
    ("pcie3", "PCIe 3, 16 lanes", 12.0),
    ("pcie4", "PCIe 4, 16 lanes", 24.0),
    ("pcie4-x8", "PCIe 4, 8 lanes (two cards in a desktop)", 12.0),
    ("pcie5", "PCIe 5, 16 lanes", 48.0),
    ("nvlink-bridge", "NVLink bridge of two RTX 3090 or A6000", 48.0),
    ("nvlink2", "NVLink 2 (V100)", 120.0),
    ("nvlink3", "NVLink 3 (A100)", 240.0),
    ("nvlink3-a800", "NVLink 3 of an A800", 160.0),
    ("nvlink4", "NVLink 4 (H100, H200, H20)", 370.8),
    ("nvlink4-h800", "NVLink 4 of an H800", 164.8),
    ("nvlink5", "NVLink 5 (B200)", 721.8),
)
_BETWEEN: tuple[tuple[str, str, int], ...] = (
    ("eth-1", "Ethernet, 1 Gb/s", 1),
    ("eth-10", "Ethernet, 10 Gb/s", 10),
    ("eth-25", "Ethernet, 25 Gb/s", 25),
    ("eth-100", "Ethernet, 100 Gb/s", 100),
    ("ib-100", "InfiniBand EDR or RoCE, 100 Gb/s", 100),
    ("ib-200", "InfiniBand HDR or RoCE, 200 Gb/s", 200),
    ("ib-400", "InfiniBand NDR or RoCE, 400 Gb/s", 400),
)


def _inside(key: str, title: str, speed: float) -> Link:
    kind: Literal["nvlink", "pcie"] = "nvlink" if key.startswith("nvlink") else "pcie"
    return Link(key=key, title=title, place="inside", gigabytes_per_second=speed, kind=kind)


def _between(key: str, title: str, gigabits: int) -> Link:
    speed = gigabits / 8
    return Link(key=key, title=title, place="between", gigabytes_per_second=speed, kind="network")


LINKS = {row[0]: _inside(*row) for row in _INSIDE} | {row[0]: _between(*row) for row in _BETWEEN}

_OF_GPU = {
    "v100-16gb": "nvlink2", "v100-32gb": "nvlink2", "a100-40gb": "nvlink3", "a100-80gb": "nvlink3",
    "a800-80gb": "nvlink3-a800", "h100-80gb": "nvlink4", "h200-141gb": "nvlink4",
    "h20-96gb": "nvlink4", "h800-80gb": "nvlink4-h800",
}  # fmt: skip
_PCIE = {"pascal": "pcie3", "volta": "pcie3", "turing": "pcie3", "ampere": "pcie4", "ada": "pcie4"}
_WITH_DDR4 = ("pascal", "volta", "turing", "ampere")
_NETWORK = {"volta": "ib-100", "ampere": "ib-200", "hopper": "ib-400"}


def find_link(name: str, place: str) -> Link:
    """One of the table.

    Args:
        name: Its key.
        place: `inside` or `between`.

    Raises:
        UserError: there is none of that name there.
    """
    keys = [key for key, link in LINKS.items() if link.place == place]
    if name in keys:
        return LINKS[name]
    option = "--inside" if place == "inside" else "--between"
    close = difflib.get_close_matches(name, keys, n=1, cutoff=0.5)
    guess = f"did you mean {close[0]}? " if close else ""
    raise UserError(
        f"{option} must be one of {', '.join(keys)}; got `{name}`",
        hint=f"{guess}`bakeoff simulate --list-links` prints the table",
    )


def parse_network(text: str) -> tuple[Link, int | None]:
    """`8xib-200`: eight adapters a machine; `ib-200`: as many as is usual (None).

    Raises:
        UserError: there is no such network.
    """
    match = re.fullmatch(r"(?:(\d+)x)?(.+)", text.strip().lower())
    number, name = match.groups() if match else (None, text)
    if number is not None and int(number) == 0:
        raise UserError(f"--between: expected one adapter or more; got `{text}`", hint="8xib-200")
    return find_link(name, "between"), int(number) if number else None


def pcie_of(gpu: Gpu) -> Link:
    """The way from a device to its host."""
    return LINKS[_PCIE.get(gpu.generation, "pcie5")]


def usual_links(gpu: Gpu) -> tuple[Link, Link]:
    """Inside and between machines with this GPU, as they are most often sold."""
    inside = _OF_GPU.get(gpu.key)
    if inside is None:
        return pcie_of(gpu), LINKS["eth-25"]
    return LINKS[inside], LINKS[_NETWORK[gpu.generation]]


def usual_devices_per_node(gpu: Gpu) -> int:
    """Two of a desktop's cards, one in a laptop, eight in a server."""
    if "laptop" in gpu.key:
        return 1
    return 2 if gpu.title.startswith(("GeForce", "RTX")) else 8


def usual_host_gigabytes(gpu: Gpu, devices_per_node: int) -> float:
    """Memory bandwidth of a host: three quarters of what its channels could do at most.

    With more than two devices two sockets with eight channels of DDR4-3200 each, of DDR5-4800
    beside a Hopper; else a desktop's two channels of DDR4-3200, or DDR5-5600 with a newer card.
    """
    if devices_per_node > 2:
        channels, gigatransfers = 16, 4.8 if gpu.generation == "hopper" else 3.2
    else:
        channels, gigatransfers = 2, 3.2 if gpu.generation in _WITH_DDR4 else 5.6
    return 0.75 * channels * gigatransfers * 8


def cluster_named(
    gpu: Gpu, *, devices_per_node: int | None, inside: str | None, between: str | None
) -> Cluster:
    """As :func:`cluster_of`, with ways by their names (``parse_network`` reads ``between``).

    Raises:
        UserError: there is no such way.
    """
    network, adapters = parse_network(between) if between is not None else (None, None)
    return cluster_of(
        gpu,
        devices_per_node=devices_per_node,
        inside=find_link(inside, "inside") if inside is not None else None,
        between=network,
        num_adapters=adapters,
    )


def cluster_of(
    gpu: Gpu,
    *,
    devices_per_node: int | None = None,
    inside: Link | None = None,
    between: Link | None = None,
    num_adapters: int | None = None,
) -> Cluster:
    """Machines with this GPU; what is not said is as is usual.

    Args:
        gpu: Of each device.
        devices_per_node: Of a machine.
        inside: The way within a machine.
        between: The network.
        num_adapters: Of a machine; one a device with InfiniBand, one in all with Ethernet.
    """
    per_node = devices_per_node or usual_devices_per_node(gpu)
    usual_inside, usual_network = usual_links(gpu)
    network = between or usual_network
    return Cluster(
        gpu=gpu,
        devices_per_node=per_node,
        inside=inside or usual_inside,
        between=network,
        num_adapters=num_adapters or (per_node if network.key.startswith("ib-") else 1),
        pcie_gigabytes_per_second=pcie_of(gpu).gigabytes_per_second,
        host_gigabytes_per_second=usual_host_gigabytes(gpu, per_node),
    )
