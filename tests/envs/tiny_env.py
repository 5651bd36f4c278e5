"""An entry for the registry; the test says where its files are."""

from tests.envs.made import Made

SPEC = None


def use(made: Made) -> None:
    global SPEC  # noqa: PLW0603
    SPEC = made.spec()
