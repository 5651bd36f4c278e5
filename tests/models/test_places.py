"""Hub, mirror and ModelScope: which is asked, in which order, with which token."""

import socket

import pytest
from tests.fake_hub import running_hub
from tests.models.made import GOOD_FILES

from bakeoff.base.errors import UserError
from bakeoff.base.hub import HubAccess
from bakeoff.base.hub_access import HubAddress
from bakeoff.base.modelscope import list_modelscope
from bakeoff.base.network import Patience

NAME = "Qwen/Qwen2.5-1.5B"


@pytest.fixture
def mirror(hub):
    with running_hub() as running:
        yield running


@pytest.fixture
def scope(hub):
    with running_hub() as running:
        yield running


@pytest.fixture
def access(hub, mirror, scope):
    """All three, each a server of its own; ``said`` holds the lines."""
    said = []
    made = HubAccess(
        endpoint=hub.endpoint,
        mirror_endpoint=mirror.endpoint + "/",
        modelscope_endpoint=scope.endpoint,
        order=("hub", "mirror", "modelscope"),
        token="hf_secret",
        modelscope_token="ms-secret",
        say=said.append,
    )
    return made, said


def unused_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_the_next_place_is_asked_and_each_attempt_is_one_line(fetch, hub, mirror, scope, access):
    everything, said = access
    hub.status = 503
    scope.add("model", NAME, GOOD_FILES)
    folder, manifest = fetch(NAME, access=everything)
    assert (folder / "model.safetensors").read_bytes() == GOOD_FILES["model.safetensors"]
    assert manifest.fetched_from == scope.endpoint
    assert manifest.revision == scope.repos["model", NAME].commit
    assert [line.partition(" (")[0] for line in said] == ["hub", "mirror", "modelscope"]
    assert said[0] == f"hub ({hub.endpoint}): answered HTTP 503"
    assert said[1] == f"mirror ({mirror.endpoint}): knows no model of that name"
    assert said[2].startswith(f"modelscope ({scope.endpoint}): has {NAME} at c0ffee000000, 5 files")


def test_an_address_where_nobody_answers_is_passed_over_without_waiting(fetch, hub, mirror):
    mirror.add("model", NAME, GOOD_FILES)
    access = HubAccess(
        endpoint=unused_address(), mirror_endpoint=mirror.endpoint, order=("hub", "mirror")
    )
    assert fetch(NAME, access=access)[1].fetched_from == mirror.endpoint
    assert hub.pauses == []


def test_the_order_is_the_persons(fetch, hub, mirror, scope, access):
    from dataclasses import replace

    for server in (hub, mirror, scope):
        server.add("model", NAME, GOOD_FILES)
    everything, _ = access
    _, manifest = fetch(NAME, access=replace(everything, order=("modelscope", "hub")))
    assert manifest.fetched_from == scope.endpoint
    assert hub.requests == mirror.requests == []


def test_each_token_goes_to_its_own_place_only(fetch, hub, mirror, scope, access):
    scope.add("model", NAME, GOOD_FILES)
    fetch(NAME, access=access[0])
    assert hub.tokens == {"Bearer hf_secret"}
    assert mirror.requests
    assert mirror.tokens == set()
    assert scope.tokens == {"m_session_id=ms-secret"}


def test_wrong_bytes_lead_to_the_next_place_and_nothing_of_them_stays(
    fetch, hub, mirror, access, tmp_path
):
    everything, said = access
    stated = {"model.safetensors": 64 * "0"}
    hub.add("model", NAME, GOOD_FILES, stated_sha256=stated)
    mirror.add("model", NAME, GOOD_FILES)
    _, manifest = fetch(NAME, access=everything)
    assert manifest.fetched_from == mirror.endpoint
    assert "sends other content of model.safetensors" in said[1]
    assert not list((tmp_path / "cache/models").glob("*.part"))
    assert not list((tmp_path / "cache/models").glob(".*.part"))


def test_a_model_that_is_refused_here_is_refused_everywhere(fetch, hub, mirror, access):
    pickled = {name: b"{}" for name in GOOD_FILES if "model" not in name}
    hub.add("model", NAME, {**pickled, "pytorch_model.bin": b"x"})
    mirror.add("model", NAME, GOOD_FILES)
    with pytest.raises(UserError, match="only pickled weights"):
        fetch(NAME, access=access[0])
    assert mirror.requests == []


def test_when_no_place_has_it_each_says_why_and_the_hint_is_the_most_telling(
    fetch, hub, mirror, scope, access
):
    repo = mirror.add("model", NAME, GOOD_FILES)
    repo.refuse_files = (403, "GatedRepo")
    hub.status = 429
    with pytest.raises(UserError, match="could not be had from any of 3 places") as raised:
        fetch(NAME, access=access[0])
    lines = str(raised.value).splitlines()
    assert "too many requests (HTTP 429)" in lines[1]
    assert "only for those who asked its owner" in lines[2]
    assert "knows no model" in lines[3]
    assert "`hf auth login`" in raised.value.hint


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "asked for an access token"), (404, "knows no model"), (500, "answered HTTP 500")],
)
def test_what_modelscope_answers_is_said_in_words(fetch, hub, status, reason):
    hub.status = status
    access = HubAccess(modelscope_endpoint=hub.endpoint, order=("modelscope",))
    with pytest.raises(UserError, match=reason) as raised:
        fetch(NAME, access=access)
    assert raised.value.hint


def test_modelscope_knows_main_as_master_and_says_which_revision_is_missing(fetch, hub):
    hub.add("model", NAME, GOOD_FILES)
    access = HubAccess(modelscope_endpoint=hub.endpoint, order=("modelscope",))
    assert fetch(NAME, access=access, revision="main")[1].fetched_from == hub.endpoint
    with pytest.raises(UserError, match="has no revision `v9`"):
        fetch(NAME, access=access, revision="v9")


def test_a_wrong_checksum_from_modelscope_is_noticed_in_small_files_too(fetch, hub):
    repo = hub.add("model", NAME, GOOD_FILES, sent={"config.json": b'{"model_type": "LLAMA"}'})
    assert len(repo.sent["config.json"]) == len(GOOD_FILES["config.json"])
    access = HubAccess(modelscope_endpoint=hub.endpoint, order=("modelscope",))
    with pytest.raises(UserError, match=r"config.json .* other content"):
        fetch(NAME, access=access)


def test_a_dataset_of_many_files_is_listed_page_by_page(hub):
    files = {f"data/{index:04d}.jsonl": b"{}\n" for index in range(450)}
    hub.add("dataset", "a/b", files)
    commit, found = list_modelscope(
        "a/b",
        kind="dataset",
        revision=None,
        place=HubAddress("modelscope", hub.endpoint, token=False),
        patience=Patience(),
    )
    assert commit == hub.repos["dataset", "a/b"].commit
    assert list(found) == list(files)
    assert len(hub.requests) == 3


def test_afterwards_the_hub_may_be_switched_off(fetch, hub, scope, access):
    scope.add("model", NAME, GOOD_FILES)
    folder, manifest = fetch(NAME, access=access[0])
    for server in (hub, scope):
        server.requests.clear()
    assert fetch(NAME, access=HubAccess(offline=True)) == (folder, manifest)
    assert hub.requests == scope.requests == []
