"""Takes the place of torchaudio in an environment that is used for text alone.

The builds of torchaudio are bound to one build of torch each, and a framework that merely imports
it would not start next to any other.
"""


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    raise RuntimeError(f"torchaudio.{name} is wanted, but this environment is for text only")
