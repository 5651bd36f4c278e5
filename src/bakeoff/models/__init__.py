"""From a model's name to its checked files in one folder."""

from bakeoff.models.fetch import fetch, fingerprint, locate, num_bytes

__all__ = ["fetch", "fingerprint", "locate", "num_bytes"]
