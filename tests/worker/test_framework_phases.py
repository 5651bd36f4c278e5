"""Loading inside a framework is told apart by wrapping the libraries that it calls."""

import importlib
import itertools
import json

import pytest

from bakeoff.worker import framework_phases
from bakeoff.worker.events import Events
from bakeoff.worker.framework_phases import Phases


@pytest.fixture
def events(tmp_path, monkeypatch):
    """Also gives every wrapped method back when the test has ended."""
    for places in framework_phases._MARKED.values():
        for module, owner, name in places:
            kind = getattr(importlib.import_module(module), owner, None)
            if kind is not None and name in vars(kind):
                monkeypatch.setattr(kind, name, vars(kind)[name])
    events = Events(tmp_path / "events.jsonl")
    yield events
    events.close()


def _phases(tmp_path):
    lines = (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["phase"] for line in lines]


def test_rows_and_weights_are_marked_until_the_work_begins(events, tmp_path, tiny_model):
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer

    Phases(events)
    rows = Dataset.from_list([{"n": 1}, {"n": 2}]).map(lambda row: {"n": row["n"] + 1})
    assert rows["n"][:] == [2, 3]
    AutoTokenizer.from_pretrained(tiny_model)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    assert model.config.hidden_size == 32
    events.phase("train")
    rows.map(lambda row: row)
    found = _phases(tmp_path)
    assert (found[0], found[-2]) == ("prepare", "prepare")
    marked = itertools.groupby(phase for phase in found if phase != "prepare")
    assert [phase for phase, _ in marked] == ["load_data", "load_model", "train"]


def test_a_mark_within_another_returns_to_it_and_an_error_ends_it(events, tmp_path):
    phases = Phases(events)

    def fail():
        raise ValueError

    read = phases._marked("load_data", fail)
    again = phases._marked("load_model", lambda: None)

    def load():
        again()
        read()

    with pytest.raises(ValueError):  # noqa: PT011 - our own
        phases._marked("load_model", load)()
    assert _phases(tmp_path) == ["prepare", "load_model", "load_data", "load_model", "prepare"]


def test_what_a_newer_version_no_longer_has_is_not_marked(events, tmp_path, monkeypatch):
    gone = (("no_such_library", "A", "b"), ("datasets", "Dataset", "gone"), ("peft", "Gone", "b"))
    monkeypatch.setattr(framework_phases, "_MARKED", {"load_data": gone})
    Phases(events)
    assert _phases(tmp_path) == ["prepare"]
