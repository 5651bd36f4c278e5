"""What the parts of a prediction are called."""

from bakeoff.schema.prediction import PartName

PART_TITLES: dict[PartName, str] = {
    "weights": "weights",
    "adapter": "adapter",
    "gradients": "gradients",
    "optimizer": "optimiser state",
    "optimizer_transient": "optimiser's temporary copy",
    "activations": "activations",
    "checkpoints": "kept layer inputs (checkpointing)",
    "logits": "logits and loss",
    "communication": "exchange between devices",
    "other": "workspaces",
}
