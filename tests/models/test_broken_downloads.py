"""What goes wrong on the way: broken connections, wrong bytes, busy and silent servers."""

import hashlib
import threading
import time

import pytest
from tests.fake_hub import Failure
from tests.models.made import GOOD_FILES, safetensors

from bakeoff.base.errors import UserError
from bakeoff.base.hub import HubAccess
from bakeoff.base.network import Patience

NAME = "Qwen/Qwen2.5-1.5B"
WEIGHTS = safetensors(size=3_000_000)


@pytest.fixture
def repo(hub):
    stated = {"model.safetensors": hashlib.sha256(WEIGHTS).hexdigest()}
    files = {**GOOD_FILES, "model.safetensors": WEIGHTS}
    return hub.add("model", NAME, files, stated_sha256=stated)


@pytest.fixture
def fetch_weights(fetch, hub, repo):
    """Fetch the model; ``failures`` befall the requests for its weights, which come last."""

    def run(*failures, **patience):
        access = HubAccess(endpoint=hub.endpoint, patience=Patience(**patience))
        hub.failures += [Failure()] * (len(GOOD_FILES) - 1) + list(failures)
        folder, manifest = fetch(NAME, access=access)
        return (folder / "model.safetensors").read_bytes(), manifest

    return run


def test_a_dropped_connection_is_taken_up_at_the_byte_where_it_broke(fetch_weights, hub):
    content, _ = fetch_weights(Failure(drop_after=1_000_000), Failure(drop_after=500_000))
    assert content == WEIGHTS
    assert hub.ranges == ["bytes=1000000-", "bytes=1500000-"]


def test_a_killed_download_goes_on_in_the_middle_of_the_file(fetch_weights, hub):
    broken = [Failure(drop_after=700_000), Failure(status=404)]
    with pytest.raises(UserError):
        fetch_weights(*broken)
    hub.failures.clear()
    hub.requests.clear()
    content, _ = fetch_weights()
    assert content == WEIGHTS
    assert hub.ranges[-1] == "bytes=700000-"
    assert hub.downloaded() == ["model.safetensors"]


def test_a_server_that_ignores_ranges_is_read_from_the_start(fetch_weights, hub):
    hub.ignores_ranges = True
    content, _ = fetch_weights(Failure(drop_after=1_000_000))
    assert content == WEIGHTS


def test_it_gives_up_when_nothing_arrives_any_more_and_keeps_what_came(fetch_weights, hub):
    with pytest.raises(UserError, match="broke off again and again") as raised:
        fetch_weights(Failure(drop_after=10), *[Failure(drop_after=0)] * 9, num_tries=3)
    assert "run the same command again" in raised.value.hint
    assert hub.downloaded().count("model.safetensors") == 3
    hub.failures.clear()
    assert fetch_weights()[0] == WEIGHTS


def test_a_busy_server_is_asked_again_when_it_says(fetch_weights, hub):
    busy = [Failure(status=429, retry_after="7"), Failure(status=503), Failure(status=503)]
    assert fetch_weights(*busy, first_pause_seconds=10.0)[0] == WEIGHTS
    said, first, second = hub.pauses
    assert said == 7.0
    # Doubled with each failure in a row; chance takes off at most a quarter.
    assert 15.0 <= first <= 20.0
    assert 30.0 <= second <= 40.0


def test_a_retry_date_is_understood(fetch_weights, hub):
    from email.utils import formatdate

    soon = formatdate(time.time() + 30, usegmt=True)
    assert fetch_weights(Failure(status=503, retry_after=soon))[0] == WEIGHTS
    assert 25.0 < hub.pauses[0] <= 30.0


def test_a_server_that_asks_for_an_hour_is_given_up_at_once(fetch_weights, hub):
    with pytest.raises(UserError, match="too many requests"):
        fetch_weights(Failure(status=429, retry_after="3600"))
    assert hub.pauses == []


def test_a_silent_server_is_left_and_asked_for_the_rest(fetch_weights, hub):
    content, _ = fetch_weights(Failure(silent_seconds=1.0), silence_seconds=0.2)
    assert content == WEIGHTS
    assert hub.ranges == ["bytes=1-"]


def test_wrong_bytes_of_the_right_size_are_refused_and_not_kept(fetch_weights, hub, repo):
    repo.sent["model.safetensors"] = bytes(len(WEIGHTS))
    with pytest.raises(UserError, match="other content than the hub states") as raised:
        fetch_weights()
    assert "another mirror" in raised.value.hint
    del repo.sent["model.safetensors"]
    hub.failures.clear()
    hub.ranges.clear()
    hub.requests.clear()
    assert fetch_weights()[0] == WEIGHTS
    assert hub.ranges == []
    assert hub.downloaded() == ["model.safetensors"]


def test_more_bytes_than_stated_are_refused(fetch_weights, repo):
    repo.sent["model.safetensors"] = WEIGHTS + b"x" * 100
    with pytest.raises(UserError, match="more bytes than it states"):
        fetch_weights(num_tries=2)


def test_ctrl_c_ends_the_waiting_for_a_busy_server_at_once(fetch, hub, repo, monkeypatch):
    from bakeoff.base import network

    def press_ctrl_c(done, total, what):
        if waiting.is_set():
            raise KeyboardInterrupt

    waiting, waited = threading.Event(), []

    def sleep(seconds, stopped=None):
        waiting.set()
        waited.append(stopped.wait(30))

    monkeypatch.setattr(network, "sleep", sleep)
    hub.by_file["model.safetensors"] = Failure(status=503)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetch(NAME, access=HubAccess(endpoint=hub.endpoint), progress=press_ctrl_c)
    assert time.monotonic() - started < 10
    assert waited == [True]


def test_a_listing_that_points_outside_of_the_folder_is_not_followed(fetch, hub, tmp_path):
    hub.add("model", "me/evil", {**GOOD_FILES, "../../evil.json": b"{}", "C:\\x.json": b"{}"})
    folder, _ = fetch("me/evil", access=HubAccess(endpoint=hub.endpoint))
    assert not list(tmp_path.rglob("evil.json"))
    assert (folder / "config.json").exists()


def test_only_the_missing_bytes_must_fit_on_the_disk(fetch_weights, hub, monkeypatch):
    import shutil

    with pytest.raises(UserError):
        fetch_weights(Failure(drop_after=2_900_000), Failure(status=404))
    hub.failures.clear()
    usage = shutil.disk_usage("/")._replace(free=200_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert fetch_weights()[0] == WEIGHTS
