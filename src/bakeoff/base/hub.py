"""The Hugging Face hub, a mirror of it, or ModelScope: all that the stages need of them.

Which places to ask is told by :mod:`hub_access`, what they hold by :mod:`hub_listing`, and
:mod:`hub_download` brings it here.
"""

from bakeoff.base.hub_access import (
    DEFAULT_ENDPOINT,
    MIRROR,
    MODELSCOPE,
    HubAccess,
    HubAddress,
    HubError,
    HubUnreachableError,
    first_that_works,
)
from bakeoff.base.hub_download import Report, download_files, say_nothing
from bakeoff.base.hub_errors import RepoKind
from bakeoff.base.hub_listing import Repo, RepoFile, folder_name, list_repo

__all__ = [
    "DEFAULT_ENDPOINT",
    "MIRROR",
    "MODELSCOPE",
    "HubAccess",
    "HubAddress",
    "HubError",
    "HubUnreachableError",
    "Repo",
    "RepoFile",
    "RepoKind",
    "Report",
    "download_files",
    "first_that_works",
    "folder_name",
    "list_repo",
    "say_nothing",
]
