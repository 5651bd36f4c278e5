"""Files of a repository on a hub, brought into a plain folder.

They are found there again, whole, by their size (no links into a cache); an interrupted download
goes on within the file.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from urllib.parse import quote

from bakeoff.base import modelscope
from bakeoff.base.files import require_free_bytes
from bakeoff.base.hub_access import HubAccess, HubAddress, HubError
from bakeoff.base.hub_errors import translated_errors
from bakeoff.base.hub_listing import Repo, RepoFile, not_here
from bakeoff.base.network import INCOMPLETE, RemoteFile, WrongContentError, download

Report = Callable[[int, int, str], None]
"""Called with what is done, the total (0: not known) and what is going on."""


def say_nothing(done: int, total: int, text: str) -> None:
    """The :data:`Report` of a caller who wants none."""


_NUM_CONNECTIONS = 4
_REPORT_SECONDS = 0.2


def download_files(
    repo: Repo,
    names: Iterable[str],
    folder: Path,
    *,
    access: HubAccess,
    report: Report | None = None,
) -> None:
    """Bring ``names`` of ``repo`` into ``folder``, each whole; what is there already stays.

    Raises:
        HubError: The place that has the repository does not give a file.
        UserError: No room on the disk.
    """
    missing = [name for name in names if not _is_whole(folder / name, repo.files[name])]
    if not missing:
        return
    if access.offline:
        raise not_here(repo.kind, repo.name)
    num_bytes = sum(repo.files[name].size for name in missing)
    here = sum(_bytes_of_part(folder / name, repo.files[name]) for name in missing)
    require_free_bytes(folder, num_bytes - here, f"downloading {repo.name}")
    progress = _Progress()
    with ThreadPoolExecutor(_NUM_CONNECTIONS) as threads:
        running = [
            threads.submit(_download_one, repo, name, folder, access=access, progress=progress)
            for name in missing
        ]
        try:
            while not _all_done(running):
                if report is not None:
                    report(progress.num_bytes, num_bytes, f"downloading {repo.name}")
        except BaseException:
            progress.stopped.set()
            threads.shutdown(wait=True, cancel_futures=True)
            raise
    if report is not None:
        report(num_bytes, num_bytes, f"downloading {repo.name}")


def _all_done(running: list[Future[None]]) -> bool:
    """After a moment at most, so that the caller can tell how far it is, and Ctrl-C is heard.

    Raises:
        Exception: What the first file that failed raised.
    """
    done, left = wait(running, timeout=_REPORT_SECONDS, return_when=FIRST_EXCEPTION)
    for each in done:
        each.result()
    return not left


class _StoppedError(Exception):
    """Another file failed, or a person pressed Ctrl-C."""


class _Progress:
    """Adds up the bytes of files that arrive at the same time."""

    def __init__(self) -> None:
        self.num_bytes = 0
        self.stopped = threading.Event()
        self._lock = threading.Lock()

    def add(self, num_bytes: int) -> None:
        if self.stopped.is_set():
            raise _StoppedError
        with self._lock:
            self.num_bytes += num_bytes


def _download_one(
    repo: Repo, name: str, folder: Path, *, access: HubAccess, progress: _Progress
) -> None:
    # A torn file under its own name would be taken for whole by whoever looks for it.
    (folder / name).unlink(missing_ok=True)
    file = repo.files[name]
    remote = RemoteFile(_file_url(repo, name), file.size, file.sha256, _headers(repo.place))
    try:
        with translated_errors(repo.kind, repo.name, revision=repo.revision, place=repo.place):
            download(
                remote,
                folder / name,
                patience=access.patience,
                on_bytes=progress.add,
                stopped=progress.stopped,
            )
    except WrongContentError as error:
        raise HubError(
            f"{name} of {repo.name} arrived with other content than the hub states ({error})",
            hint="run the same command again; if it persists, use another mirror",
            reason=f"sends other content of {name} than it states ({error})",
        ) from error


def _file_url(repo: Repo, name: str) -> str:
    if repo.place.name == "modelscope":
        return modelscope.file_url(
            repo.name, name, kind=repo.kind, revision=repo.revision, place=repo.place
        )
    above = "datasets/" if repo.kind == "dataset" else ""
    return f"{repo.place.endpoint}/{above}{repo.name}/resolve/{repo.commit}/{quote(name)}"


def _headers(place: HubAddress) -> dict[str, str]:
    if place.name == "modelscope":
        return modelscope.headers(place)
    from huggingface_hub import utils  # noqa: PLC0415 - slow to import

    headers: dict[str, str] = utils.build_hf_headers(token=place.token)  # type: ignore[attr-defined]
    return headers


def _is_whole(path: Path, file: RepoFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size


def _bytes_of_part(path: Path, file: RepoFile) -> int:
    part = path.with_name(path.name + INCOMPLETE)
    return min(part.stat().st_size, file.size) if part.is_file() else 0
