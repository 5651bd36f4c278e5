"""From a model's name to its checked files in one folder."""

from bakeoff.models.fetch import fetch, fingerprint, locate, locate_whole, num_bytes
from bakeoff.models.tokens import read_chat_template

__all__ = ["fetch", "fingerprint", "locate", "locate_whole", "num_bytes", "read_chat_template"]
