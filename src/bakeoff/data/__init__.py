"""From a dataset as it lies somewhere to checked, split and rendered rows in one folder."""

from bakeoff.data.prepare import fingerprint, prepare

__all__ = ["fingerprint", "prepare"]
