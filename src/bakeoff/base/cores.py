"""How many processor cores this process may use."""

import psutil


def num_cores() -> int:
    """Those that it is bound to, as in a job of a cluster, where the system tells."""
    if hasattr(psutil.Process, "cpu_affinity"):
        return len(psutil.Process().cpu_affinity())
    return psutil.cpu_count() or 1
