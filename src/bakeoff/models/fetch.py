"""Fingerprint, find and fetch a model, whatever its source."""

from collections.abc import Callable
from pathlib import Path

from bakeoff.base.hashing import digest_json
from bakeoff.base.hub import HubAccess, Report, folder_name, say_nothing
from bakeoff.base.locks import locked
from bakeoff.models.files import MANIFEST, model_files
from bakeoff.models.shortened import VERSION, shorten, shortening_of
from bakeoff.models.sources import Surroundings, source_of
from bakeoff.schema.plan import Launch
from bakeoff.schema.recipe_subject import ModelSpec
from bakeoff.schema.results import ModelManifest


def fingerprint(spec: ModelSpec, *, base_dir: Path, cache_dir: Path | None = None) -> str:
    """What identifies the model, found without a network.

    A local folder counts by the content of its files, a built-in model by the version of its
    package, a model on a hub by its name and revision: without a pinned revision a change there
    goes unnoticed until the copy on disk is removed.

    Args:
        spec: Which model.
        base_dir: Folder of the recipe.
        cache_dir: Where digests of large files are remembered; None: each call reads them whole.

    Raises:
        UserError: The source is not there.
    """
    source = source_of(spec, base_dir)
    content = source.fingerprint(spec, base_dir=base_dir, cache_dir=cache_dir)
    if spec.num_hidden_layers is None:
        return digest_json([content, spec.trust_remote_code])
    folder = cache_dir and source.locate(spec, base_dir=base_dir, cache_dir=cache_dir)
    if folder:  # too many are a mistake that can be told before anything is done
        shortening_of(folder, spec)
    return digest_json([content, spec.trust_remote_code, spec.num_hidden_layers, VERSION])


def locate(spec: ModelSpec, *, base_dir: Path, cache_dir: Path) -> Path | None:
    """The model's folder if it is on disk and whole, without bringing it there."""
    whole = locate_whole(spec, base_dir=base_dir, cache_dir=cache_dir)
    asked = shortening_of(whole, spec) if whole is not None else None
    if asked is None:
        return whole
    target = asked.target(cache_dir)
    return target if target == whole or (target / MANIFEST).exists() else None


def locate_whole(spec: ModelSpec, *, base_dir: Path, cache_dir: Path) -> Path | None:
    """As :func:`locate`, of the model with all of its layers."""
    return source_of(spec, base_dir).locate(spec, base_dir=base_dir, cache_dir=cache_dir)


def num_bytes(spec: ModelSpec, *, base_dir: Path, cache_dir: Path, hub: HubAccess) -> int | None:
    """Size of the model's files, on disk or still to be fetched; None when it cannot be told.

    Of a copy with fewer layers that is still to be made, the size of the whole model.
    """
    folder = locate(spec, base_dir=base_dir, cache_dir=cache_dir) or locate_whole(
        spec, base_dir=base_dir, cache_dir=cache_dir
    )
    if folder is None:
        source = source_of(spec, base_dir)
        return source.num_bytes_to_fetch(spec, cache_dir=cache_dir, hub=hub)
    if not folder.is_dir():
        return None
    names = model_files(
        (path.name for path in folder.iterdir()), trust_remote_code=spec.trust_remote_code
    )
    return sum((folder / name).stat().st_size for name in names)


def fetch(
    spec: ModelSpec,
    *,
    base_dir: Path,
    cache_dir: Path,
    hub: HubAccess,
    run_worker: Callable[[Launch, Path], None],
    progress: Report | None = None,
) -> tuple[Path, ModelManifest]:
    """Bring the model to disk, once; a second process that wants the same one waits.

    Args:
        spec: Which model.
        base_dir: Folder of the recipe, from which a relative path starts.
        cache_dir: The model appears below it; a local folder is used where it lies.
        hub: How to reach the hub.
        run_worker: Writes the files of a launch into a folder and runs it there, for what needs
            the training stack; raises when it fails.
        progress: Called with what is done, the total (0: not known) and what is going on.

    Raises:
        UserError: Whatever stands between the person and the model.
        RunError: The worker failed.
    """
    report = progress or say_nothing
    source = source_of(spec, base_dir)
    surroundings = Surroundings(base_dir, cache_dir, hub, run_worker, report)
    lock_path = cache_dir / "models" / f".{folder_name(spec.source)}.lock"
    with locked(
        lock_path, lambda: report(0, 0, f"waiting for another process that fetches {spec.source}")
    ):
        folder, manifest = source.fetch(spec, surroundings)
        asked = shortening_of(folder, spec)
        return (folder, manifest) if asked is None else shorten(asked, manifest, cache_dir)
