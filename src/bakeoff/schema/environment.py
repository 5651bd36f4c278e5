"""What is noted about the environments of frameworks."""

from bakeoff.schema.document import Document


class InstalledEnvironment(Document):
    """``environment.json`` in the folder of an environment, written when all else is there."""

    name: str
    lock_digest: str
    python_version: str
    system: str
    torch_backend: str | None
    """Which build of torch was asked for; None: the one that the package index gives."""

    num_bytes: int
    installed_at: str


class EnvironmentCheck(Document):
    """A tiny model trained for a few steps by the framework's own entry point, or asked by it."""

    name: str
    python: str
    ok: bool
    error: str | None
    """Why not, with the end of the log; None: it went well."""

    versions: dict[str, str]
    """Of all packages in the environment, and of Python."""

    differences: tuple[str, ...]
    """Between these and the lock."""

    device: str | None
    """`cpu`, or the name of the GPU; None: it did not come so far."""

    losses: tuple[float, ...]
    """One a step."""

    import_seconds: float | None
    train_seconds: float | None
    """Of the whole process of the framework, start included."""

    checked_at: str
