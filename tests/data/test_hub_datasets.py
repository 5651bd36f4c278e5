"""Datasets from a hub, against a server on this machine that speaks its protocol."""

import json
import socket
from dataclasses import replace

import pytest
from tests.data.made import qa
from tests.fake_hub import Failure, running_hub

from bakeoff.base.errors import UserError
from bakeoff.base.hub import MIRROR, HubAccess

CARD = b"""---
configs:
- config_name: main
  data_files:
  - split: train
    path: main/train-*
  - split: test
    path: main/test-*
- config_name: socratic
  data_files:
  - split: train
    path: socratic/train-*
---
# A dataset
"""


def lines(name, number):
    rows = [qa(f"{name} {index}?") for index in range(number)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def gsm8k_like(hub):
    return hub.add(
        "dataset",
        "openai/gsm8k",
        {
            "README.md": CARD,
            "main/train-00000-of-00002.jsonl": lines("one", 10),
            "main/train-00001-of-00002.jsonl": lines("two", 5),
            "main/test-00000-of-00001.jsonl": lines("exam", 4),
            "socratic/train-00000-of-00001.jsonl": lines("why", 3),
            "plots.pdf": b"x" * 1000,
        },
    )


def test_only_the_files_of_the_wanted_splits_are_downloaded(prepare, hub, gsm8k_like):
    access = HubAccess(endpoint=hub.endpoint)
    manifest, _ = prepare("openai/gsm8k", subset="main", access=access)
    assert manifest.num_rows == {"train": 15, "validation": 0, "test": 4}
    assert manifest.revision == gsm8k_like.commit
    assert sorted(hub.downloaded()) == [
        "README.md",
        "test-00000-of-00001.jsonl",
        "train-00000-of-00002.jsonl",
        "train-00001-of-00002.jsonl",
    ]


def test_a_second_time_nothing_is_downloaded_and_offline_works(prepare, hub, gsm8k_like):
    access = HubAccess(endpoint=hub.endpoint)
    first, _ = prepare("openai/gsm8k", subset="main", access=access)
    hub.requests.clear()
    again, _ = prepare("openai/gsm8k", subset="main", access=access)
    assert hub.downloaded() == []
    hub.requests.clear()
    offline = HubAccess(endpoint=hub.endpoint, offline=True)
    assert prepare("openai/gsm8k", subset="main", access=offline)[0] == again == first
    assert hub.requests == []


def test_a_pinned_commit_that_is_on_disk_asks_nobody(prepare, hub, gsm8k_like):
    access = HubAccess(endpoint=hub.endpoint)
    spec = {"source": "openai/gsm8k", "subset": "main", "revision": gsm8k_like.commit}
    prepare(access=access, **spec)
    hub.requests.clear()
    prepare(access=access, **spec)
    assert hub.requests == []


def test_what_is_on_disk_serves_when_the_hub_is_out_of_reach(prepare, hub, gsm8k_like):
    first, _ = prepare("openai/gsm8k", subset="main", access=HubAccess(endpoint=hub.endpoint))
    away = HubAccess(endpoint=unused_address())
    again, _ = prepare("openai/gsm8k", subset="main", access=away)
    assert again == first


@pytest.fixture
def two_places(hub, gsm8k_like):
    """Access to the hub and then a mirror with the same rows, the mirror, and what was said."""
    said = []
    with running_hub() as mirror:
        mirror.repos.update(hub.repos)
        yield (
            HubAccess(
                endpoint=hub.endpoint,
                mirror_endpoint=mirror.endpoint,
                order=("hub", "mirror"),
                say=said.append,
            ),
            mirror,
            said,
        )


@pytest.mark.parametrize("file", ["README.md", "main/test-00000-of-00001.jsonl"])
def test_a_download_that_fails_goes_on_at_the_next_place(prepare, hub, two_places, file):
    access, mirror, said = two_places
    hub.by_file[file] = Failure(status=403)
    manifest, _ = prepare("openai/gsm8k", subset="main", access=access)
    assert manifest.num_rows == {"train": 15, "validation": 0, "test": 4}
    assert [line.partition(" (")[0] for line in said] == ["hub"]
    # What the first place gave whole is not asked for again.
    again = set(hub.downloaded()) & set(mirror.downloaded())
    assert again <= {file.rpartition("/")[2]}


def test_when_no_place_gives_a_file_each_says_why(prepare, hub, two_places):
    access, mirror, _ = two_places
    hub.status = 429
    mirror.by_file["main/test-00000-of-00001.jsonl"] = Failure(status=403)
    with pytest.raises(UserError, match="could not be had from any of 2 places") as raised:
        prepare("openai/gsm8k", subset="main", access=access)
    lines = str(raised.value).splitlines()
    assert "the dataset openai/gsm8k" in lines[0]
    assert lines[1].startswith(f"  hub ({hub.endpoint}): too many requests")
    assert lines[2].startswith(f"  mirror ({mirror.endpoint}): ")


def test_what_modelscope_gave_serves_offline_though_the_hub_comes_first(prepare, hub):
    files = {"train.jsonl": lines("a", 3), "test.jsonl": lines("b", 2)}
    with running_hub() as scope:
        scope.add("dataset", "me/mine", files)
        access = HubAccess(
            endpoint=hub.endpoint, modelscope_endpoint=scope.endpoint, order=("hub", "modelscope")
        )
        first, _ = prepare("me/mine", access=access)
    assert prepare("me/mine", access=replace(access, offline=True))[0] == first


def test_splits_are_found_by_file_names_where_the_card_declares_none(prepare, hub):
    hub.add("dataset", "me/mine", {"train.jsonl": lines("a", 3), "data/x.bin": b"1",
                                   "test.jsonl": lines("b", 2)})  # fmt: skip
    manifest, _ = prepare("me/mine", access=HubAccess(endpoint=hub.endpoint))
    assert manifest.num_rows == {"train": 3, "validation": 0, "test": 2}


def test_a_torn_file_is_downloaded_again(prepare, hub, gsm8k_like, tmp_path):
    access = HubAccess(endpoint=hub.endpoint)
    prepare("openai/gsm8k", subset="main", access=access)
    (torn,) = (tmp_path / "cache/datasets").rglob("test-00000-of-00001.jsonl")
    torn.write_bytes(b"{")
    manifest, _ = prepare("openai/gsm8k", subset="main", access=access)
    assert manifest.num_rows["test"] == 4


MISTAKES = {
    "no subset": ({}, "has several subsets: `main`, `socratic`", "`data.subset: main`"),
    "other subset": ({"subset": "mian"}, "has no subset `mian`", "`main`, `socratic`"),
    "no split": ({"subset": "main", "test": "tset"},
                 "`data.test` of the dataset openai/gsm8k: no file holds the split `tset`",
                 "did you mean `test`?"),
    "no revision": ({"subset": "main", "revision": "v9"}, "has no revision `v9`",
                    "`data.revision` takes a commit, tag or branch"),
    "unknown": ({"source": "opnai/gsm8k"}, "knows no dataset `opnai/gsm8k`, and no file or folder",
                "did you mean `openai/gsm8k`? A private one needs `hf auth login`"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MISTAKES)
def test_what_the_hub_does_not_have_is_named_with_what_it_has(prepare, hub, gsm8k_like, kind):
    spec, cause, hint = MISTAKES[kind]
    with pytest.raises(UserError) as raised:
        prepare(**{"source": "openai/gsm8k", **spec}, access=HubAccess(endpoint=hub.endpoint))
    assert cause in str(raised.value)
    assert hint in raised.value.hint


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_dataset_says_where_to_ask_and_how_to_log_in(prepare, hub, gsm8k_like, status):
    gsm8k_like.refuse_files = (status, "GatedRepo")
    with pytest.raises(UserError, match="openai/gsm8k is gated") as raised:
        prepare("openai/gsm8k", subset="main", access=HubAccess(endpoint=hub.endpoint))
    assert f"{hub.endpoint}/datasets/openai/gsm8k" in raised.value.hint
    assert "`hf auth login` or set HF_TOKEN" in raised.value.hint


STATUSES = {
    403: ("refused the access token", "HF_TOKEN"),
    404: ("knows no dataset `a/b`", "A private one needs"),
    429: ("too many requests", "wait some minutes"),
    503: ("answered HTTP 503", f"HF_ENDPOINT={MIRROR}"),
}


@pytest.mark.parametrize("status", STATUSES)
def test_what_the_hub_answers_is_said_in_words(prepare, hub, status):
    cause, hint = STATUSES[status]
    hub.status = status
    with pytest.raises(UserError) as raised:
        prepare("a/b", access=HubAccess(endpoint=hub.endpoint, token="hf_x"))
    assert hub.endpoint in str(raised.value)
    assert cause in str(raised.value)
    assert hint in raised.value.hint


def unused_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_a_hub_out_of_reach_names_the_other_ways(prepare, hub):
    address = unused_address()
    with pytest.raises(
        UserError, match=r"cannot be reached \(.*so the dataset a/b cannot"
    ) as raised:
        prepare("a/b", access=HubAccess(endpoint=address))
    assert address in str(raised.value)
    assert f"HF_ENDPOINT={MIRROR}" in raised.value.hint
    assert "ModelScope" in raised.value.hint
    assert "name the folder as `source`" in raised.value.hint


def test_offline_and_never_seen_is_said(prepare, hub):
    with pytest.raises(UserError, match="not on disk, and the hub is switched off") as raised:
        prepare("a/b", access=HubAccess(endpoint=hub.endpoint, offline=True))
    assert "HF_HUB_OFFLINE" in raised.value.hint
    assert hub.requests == []


def test_a_folder_goes_before_a_hubs_dataset_of_the_same_name(prepare, hub, write):
    write("openai/gsm8k/train.jsonl", [qa("1?")])
    write("openai/gsm8k/test.jsonl", [qa("2?")])
    assert prepare("openai/gsm8k")[0].num_rows["train"] == 1
