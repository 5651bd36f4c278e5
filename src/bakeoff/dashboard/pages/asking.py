"""What a page's address asks for, checked."""

from typing import Annotated

from fastapi import Depends, HTTPException, Query

from bakeoff.dashboard.render import View, view_of
from bakeoff.store.lists import SORTS, Asked

Shown = Annotated[View, Depends(view_of)]
PAGE_SIZE = 50


def asked_for(
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    sort: str = "order",
    down: bool = False,
    kind: str = "",
    state: str = "",
    words: Annotated[str, Query(max_length=200)] = "",
) -> Asked:
    """Which part of a list of runs."""
    return Asked(
        page=page,
        size=PAGE_SIZE,
        sort=sort if sort in SORTS else "order",
        descending=down,
        kind=kind,
        state=state,
        words=words,
    )


AskedFor = Annotated[Asked, Depends(asked_for)]


def missing(what: str) -> HTTPException:
    """404."""
    return HTTPException(status_code=404, detail=what)


def known_study(view: View, name: str) -> bool:
    """Whether the store has it; a name is never a path.

    Raises:
        HTTPException: 404 for what cannot be a study's name.
    """
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        raise missing(name)
    return view.site.store.lists.study_facts(name) is not None
