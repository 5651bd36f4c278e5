"""The settings that the locked version of a framework takes, as its own parser lists them.

`keys/NAME.txt` holds one name a line; a slow test holds it to the installed framework.
"""

import difflib
import functools
from collections.abc import Iterator
from importlib.resources import files

from bakeoff.schema.plan import Problem, TrainPlan


def unknown_settings(plan: TrainPlan) -> Iterator[Problem]:
    """What the recipe's `extra` asks of the locked framework that it does not know.

    For an environment that a person named this says nothing: it may hold another version.
    """
    for key in plan.extra:
        known = known_settings(plan.backend)
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            yield Problem(
                key=f"extra.{plan.backend}.{key}",
                message=f"{plan.backend} has no setting `{key}`",
                hint=f"did you mean `{close[0]}`?" if close else "leave it out",
            )


@functools.cache
def known_settings(backend: str) -> frozenset[str]:
    text = files("bakeoff.backends.frameworks") / "keys" / f"{backend}.txt"
    return frozenset(text.read_text(encoding="utf-8").split())
