"""Registry of trackers: places where people look at runs.

To add one: write ``bakeoff/trackers/<name>.py`` with a class that satisfies ``Tracker`` and add one
line below; the conformance suite picks the new name up by itself.
"""

from bakeoff.base.registry import Registry
from bakeoff.interfaces import Tracker

TRACKERS: Registry[type[Tracker]] = Registry(
    "trackers",
    {
        "mlflow": "bakeoff.trackers.mlflow:MlflowTracker",
        "swanlab": "bakeoff.trackers.swanlab:SwanlabTracker",
        "tensorboard": "bakeoff.trackers.tensorboard:TensorboardTracker",
        "trackio": "bakeoff.trackers.trackio:TrackioTracker",
        "wandb": "bakeoff.trackers.wandb:WandbTracker",
    },
)
