"""FSDP of transformers' trainer on a CPU, where accelerate offers it for other devices only."""

from typing import Any


def allow_on_cpu() -> None:
    """Make accelerate part a model over processes on a CPU as it does on GPUs: by ``fully_shard``.

    It looks at what is asked of it only where the processes have GPUs, NPUs or XPUs
    (``accelerate/state.py``, ``AcceleratorState.__init__``).
    """
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import DistributedType

    begin = AcceleratorState.__init__

    def begin_with_fsdp(
        self: Any, *arguments: Any, fsdp_plugin: Any = None, **options: Any
    ) -> None:
        begin(self, *arguments, fsdp_plugin=fsdp_plugin, **options)
        if fsdp_plugin is None or self.distributed_type != DistributedType.MULTI_CPU:
            return
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP
        self.distributed_type = DistributedType.FSDP
        self.fsdp_plugin = fsdp_plugin
        if self.mixed_precision != "no":
            fsdp_plugin.set_mixed_precision(self.mixed_precision)

    AcceleratorState.__init__ = begin_with_fsdp
