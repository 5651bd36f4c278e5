"""DeepSpeed as it is used here: on a CPU without code that it compiles on the spot."""

import os
from typing import Any

_SHARED_MEMORY = "deepspeed_shm_comm"


def import_deepspeed(device_type: str) -> Any:
    """The module `deepspeed`, for processes on such a device.

    On a CPU it would compile an exchange through shared memory, which needs a compiler, waits for
    ever for the lock of a compilation that was killed, and is no exchange that other strategies
    have. Without it the processes exchange through gloo like those of every other strategy.
    """
    if device_type == "cpu":
        os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed

    if device_type == "cpu":
        deepspeed.ops.__compatible_ops__[_SHARED_MEMORY] = False
    return deepspeed
