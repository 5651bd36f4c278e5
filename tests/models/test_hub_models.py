"""Models from a hub, against a server on this machine that speaks its protocol."""

import hashlib
import threading

import pytest
from tests.models.made import GOOD_FILES, safetensors

from bakeoff import models
from bakeoff.base.errors import UserError
from bakeoff.base.hub import HubAccess
from bakeoff.models.files import MANIFEST
from bakeoff.schema.recipe_subject import ModelSpec

NAME = "Qwen/Qwen2.5-1.5B"


@pytest.fixture
def repo(hub):
    extra = {"README.md": b"# Qwen", "model.onnx": b"1", "original/model.safetensors": b"2",
             "pytorch_model.bin": b"3", "modeling.py": b"4"}  # fmt: skip
    return hub.add("model", NAME, {**GOOD_FILES, **extra})


def test_only_what_is_needed_is_downloaded_and_the_commit_is_recorded(fetch, hub, repo, tmp_path):
    reports = []
    access = HubAccess(endpoint=hub.endpoint)
    folder, manifest = fetch(NAME, access=access, progress=lambda *report: reports.append(report))
    assert sorted(hub.downloaded()) == sorted([*GOOD_FILES, "README.md"])
    on_disk = sorted(path.name for path in folder.iterdir())
    assert on_disk == sorted([*GOOD_FILES, MANIFEST, "README.md"])
    assert manifest.fetched_from == hub.endpoint
    assert (folder / "model.safetensors").read_bytes() == GOOD_FILES["model.safetensors"]
    assert manifest.revision == repo.commit
    assert manifest.num_bytes == sum(len(content) for content in GOOD_FILES.values())
    assert folder.parent == tmp_path / "cache/models"
    assert folder.name.startswith("Qwen--Qwen2.5-1.5B-")
    done, total, text = reports[-1]
    assert (done, total, text) == (total, total, f"downloading {NAME}")


def test_the_digest_is_that_of_the_same_model_in_a_folder(fetch, hub, repo, write_model):
    _, downloaded = fetch(NAME, access=HubAccess(endpoint=hub.endpoint))
    _, local = fetch(write_model(GOOD_FILES))
    assert downloaded.digest == local.digest


def test_a_model_on_disk_is_located_and_asks_nobody(fetch, hub, repo, tmp_path):
    places = {"base_dir": tmp_path, "cache_dir": tmp_path / "cache"}
    assert models.locate(ModelSpec(source=NAME), **places) is None
    folder, manifest = fetch(NAME, access=HubAccess(endpoint=hub.endpoint))
    hub.requests.clear()
    assert models.locate(ModelSpec(source=NAME), **places) == folder
    assert fetch(NAME, access=HubAccess(offline=True)) == (folder, manifest)
    assert hub.requests == []


def test_processes_that_want_the_same_model_download_it_once(fetch, hub, repo):
    results = []
    access = HubAccess(endpoint=hub.endpoint)
    threads = [
        threading.Thread(target=lambda: results.append(fetch(NAME, access=access)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert results[0] == results[1] == results[2]
    assert sorted(hub.downloaded()) == sorted([*GOOD_FILES, "README.md"])


def test_a_download_that_broke_off_goes_on_with_what_is_missing(fetch, hub, repo, tmp_path):
    access = HubAccess(endpoint=hub.endpoint)
    del repo.files["model.safetensors"]
    with pytest.raises(UserError, match=r"only pickled weights"):
        fetch(NAME, access=access)
    # Large files come last, when the small ones are there.
    weights = repo.files["model.safetensors"] = safetensors(size=2_000_000)
    repo.stated_sha256 = {"model.safetensors": 64 * "0"}
    with pytest.raises(UserError, match="other content than the hub states") as raised:
        fetch(NAME, access=access)
    assert "another mirror" in raised.value.hint
    assert models.locate(ModelSpec(source=NAME), base_dir=tmp_path, cache_dir=tmp_path) is None
    hub.requests.clear()
    right = hashlib.sha256(weights).hexdigest()
    repo.stated_sha256 = {"model.safetensors": right}
    fetch(NAME, access=access)
    assert hub.downloaded() == ["model.safetensors"]


def test_a_model_with_code_of_its_own_costs_no_big_download(fetch, hub):
    files = {
        **GOOD_FILES,
        "config.json": b'{"auto_map": {"AutoModel": "modeling.M"}}',
        "modeling.py": b"class M: ...",
        "model.safetensors": safetensors(size=2_000_000),
    }
    hub.add("model", "me/odd", files)
    access = HubAccess(endpoint=hub.endpoint)
    with pytest.raises(UserError, match="comes with Python code of its own") as raised:
        fetch("me/odd", access=access)
    assert "`model.trust_remote_code: true`" in raised.value.hint
    assert "model.safetensors" not in hub.downloaded()
    assert "modeling.py" not in hub.downloaded()
    folder, _ = fetch("me/odd", access=access, trust_remote_code=True)
    assert (folder / "modeling.py").exists()


def test_a_torn_upload_is_refused(fetch, hub):
    hub.add("model", "me/torn", {**GOOD_FILES, "model.safetensors": safetensors(torn=5)})
    with pytest.raises(UserError, match="is not whole: expected"):
        fetch("me/torn", access=HubAccess(endpoint=hub.endpoint))


def test_a_full_disk_is_noticed_before_the_download(fetch, hub, repo, monkeypatch):
    import shutil

    usage = shutil.disk_usage("/")._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"downloading Qwen/.* needs .* GB of disk"):
        fetch(NAME, access=HubAccess(endpoint=hub.endpoint))
    assert hub.downloaded() == []


MISTAKES = {
    "unknown": ("Qwen/Qwen2.5-1.5", {}, "knows no model `Qwen/Qwen2.5-1.5`",
                "did you mean `Qwen/Qwen2.5-1.5B`?"),
    "revision": (NAME, {"revision": "v2"}, "has no revision `v2`", "`model.revision` takes"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MISTAKES)
def test_what_the_hub_does_not_have_is_named(fetch, hub, repo, kind):
    source, spec, cause, hint = MISTAKES[kind]
    with pytest.raises(UserError) as raised:
        fetch(source, access=HubAccess(endpoint=hub.endpoint), **spec)
    assert cause in str(raised.value)
    assert hint in raised.value.hint


def test_a_gated_model_says_where_to_ask(fetch, hub, repo):
    repo.refuse_files = (403, "GatedRepo")
    with pytest.raises(UserError, match="is gated") as raised:
        fetch(NAME, access=HubAccess(endpoint=hub.endpoint))
    assert f"ask for access on {hub.endpoint}/{NAME}" in raised.value.hint
    assert "`hf auth login`" in raised.value.hint


def test_the_fingerprint_needs_no_network_and_follows_the_revision(tmp_path):
    specs = [ModelSpec(source=NAME), ModelSpec(source=NAME), ModelSpec(source=NAME, revision="x")]
    prints = [models.fingerprint(spec, base_dir=tmp_path) for spec in specs]
    assert prints[0] == prints[1] != prints[2]
