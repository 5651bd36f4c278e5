"""`bakeoff model` as a person types it, against servers on this machine."""

import json
import subprocess

import pytest
from tests.command import bakeoff, command, environment
from tests.fake_hub import running_hub
from tests.models.made import GOOD_FILES

NAME = "Qwen/Qwen2.5-1.5B"


@pytest.fixture
def servers():
    with running_hub() as hub, running_hub() as scope:
        yield hub, scope


@pytest.fixture
def type_command(tmp_path, servers):
    hub, scope = servers

    def run(*arguments, expect=0, **variables):
        known = {"HF_ENDPOINT": hub.endpoint, "MODELSCOPE_DOMAIN": scope.endpoint,
                 "NO_PROXY": "127.0.0.1", "HF_HUB_OFFLINE": "0"}  # fmt: skip
        done = subprocess.run(
            command("model", *arguments),
            cwd=tmp_path,
            env={**environment(tmp_path), **known, **variables},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == expect, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def test_fetch_prints_the_folder_and_info_reads_it_with_the_hub_switched_off(
    type_command, servers, tmp_path
):
    servers[0].add("model", NAME, {**GOOD_FILES, "README.md": b"---\nlicense: mit\n---\n"})
    done = type_command("fetch", NAME)
    folder = done.stdout.strip()
    assert folder.startswith(str(tmp_path / "cache/models/Qwen--Qwen2.5-1.5B-"))
    assert f"hub ({servers[0].endpoint}): has {NAME}" in done.stderr
    servers[0].status = 500
    assert type_command("fetch", NAME, HF_HUB_OFFLINE="1").stdout.strip() == folder
    info = json.loads(type_command("info", NAME, "--json", HF_HUB_OFFLINE="1").stdout)
    assert info["fetched_from"] == servers[0].endpoint
    assert info["licence"] == "mit"
    assert "mit" in type_command("info", NAME).stdout


def test_from_asks_the_named_place_only(type_command, servers):
    hub, scope = servers
    for server in servers:
        server.add("model", NAME, GOOD_FILES)
    done = type_command("fetch", NAME, "--from", "modelscope", "--json")
    assert json.loads(done.stdout)["fetched_from"] == scope.endpoint
    assert hub.requests == []


def test_a_misspelt_place_is_a_mistake(type_command):
    message = type_command("fetch", NAME, "--from", "modelscop", expect=2).stderr
    assert "--from must be one of hub, mirror, modelscope; got `modelscop`" in message


def test_a_gated_model_says_how_to_log_in(type_command, servers):
    repo = servers[0].add("model", NAME, GOOD_FILES)
    repo.refuse_files = (403, "GatedRepo")
    message = type_command("fetch", NAME, "--from", "hub", expect=2).stderr
    assert "is gated" in message
    assert "`hf auth login`" in message


def test_info_of_a_model_that_is_not_here_names_the_command(type_command):
    message = type_command("info", NAME, expect=2).stderr
    assert f"`bakeoff model fetch {NAME}`" in message


def test_info_of_a_folder(type_command, tiny_model):
    info = json.loads(type_command("info", tiny_model, "--json").stdout)
    assert info["num_parameters"] > 0
    assert info["folder"] == str(tiny_model)


def test_a_recipe_names_the_order_and_the_addresses(tmp_path, servers, tiny_model, tiny_data):
    """A whole study whose model comes from ModelScope alone."""
    hub, scope = servers
    files = {path.name: path.read_bytes() for path in tiny_model.iterdir() if path.is_file()}
    scope.add("model", "me/tiny", files)
    (tmp_path / "r.yaml").write_text(
        f"""\
name: t
model: me/tiny
data: {{source: '{tiny_data}', num_validation: 2, num_test: 2}}
device: cpu
hub: {{order: [mirror, modelscope], endpoint: '{hub.endpoint}',
      modelscope_endpoint: '{scope.endpoint}'}}
places: {{runs: ./results, cache: ./kept, temporary: ./tmp}}
train: {{max_steps: 1, batch_size: 2}}
evaluate: {{base: false, max_new_tokens: 4}}
""",
        encoding="utf-8",
    )
    known = {key: value for key, value in environment(tmp_path).items() if key[:8] != "BAKEOFF_"}
    done = subprocess.run(
        command("run", "r.yaml", "--then", "echo 'now off'"),
        cwd=tmp_path,
        env={**known, "NO_PROXY": "127.0.0.1", "HF_HUB_OFFLINE": "0"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"mirror ({hub.endpoint}): knows no model of that name" in done.stderr
    assert f"modelscope ({scope.endpoint}): has me/tiny" in done.stderr
    assert list((tmp_path / "results").glob("train-*/record.json"))
    assert list((tmp_path / "kept/models").iterdir())
    assert (tmp_path / "tmp").is_dir()
    assert not (tmp_path / "runs").exists()
    record = json.loads(next((tmp_path / "results").glob("train-*/record.json")).read_text("utf-8"))
    kept = record["provenance"]["environment"]
    assert kept["HF_DATASETS_CACHE"].startswith(str(tmp_path / "kept"))
    assert "running `echo 'now off'`" in done.stderr
    assert "ended with exit code 0: now off" in done.stderr


def test_nothing_is_run_afterwards_when_the_recipe_has_a_mistake(tmp_path):
    (tmp_path / "r.yaml").write_text("name: t\nmodel: x\n", encoding="utf-8")
    done = bakeoff(tmp_path, "run", "r.yaml", "--then", "echo off > off.txt", expect=2)
    assert "running" not in done.stderr
    assert not (tmp_path / "off.txt").exists()


def test_places_on_a_disk_that_is_not_here_are_refused_with_file_and_line(tmp_path, tiny_model):
    (tmp_path / "r.yaml").write_text(
        f"name: t\nmodel: '{tiny_model}'\ndata: builtin:gsm-symbolic\n"
        "places:\n  runs: /no/such/disk/runs\n",
        encoding="utf-8",
    )
    message = bakeoff(tmp_path, "run", "r.yaml", expect=2).stderr
    assert "r.yaml:5:3: `places.runs`: cannot make" in message
    assert "--set places=null" in message
    bakeoff(tmp_path, "plan", "r.yaml")


def test_places_cannot_be_an_axis(tmp_path):
    (tmp_path / "r.yaml").write_text(
        "name: t\nmodel: builtin:smollm2-135m\ndata: builtin:gsm-symbolic\n"
        "places:\n  runs: [a, b]\n",
        encoding="utf-8",
    )
    message = bakeoff(tmp_path, "plan", "r.yaml", expect=2).stderr
    assert "`places.runs`: expected one value" in message
