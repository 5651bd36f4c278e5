"""Probes of several backends are held against each other, and differences are named."""

import pytest

from bakeoff.compare.parity import compare_probes
from bakeoff.schema.parity import (
    ParameterGroup,
    Probe,
    ProbedCell,
    ProbedRow,
    ProbedRun,
    ProbedStep,
    Reference,
)

ROWS = tuple(
    ProbedRow(token_ids=(5, 6, number, 2), labels=(-100, -100, number, 2)) for number in (7, 8)
)
GROUP = ParameterGroup(
    learning_rate=1e-3, betas=(0.9, 0.999), epsilon=1e-8, weight_decay=0.1, num_parameters=40
)
ADAPTER = {
    "rank": 4, "alpha": 8.0, "dropout": 0.0, "layers": ["q_proj"], "bias": "none",
    "use_rslora": False, "use_dora": False, "init": True,
}  # fmt: skip


def step(rows=ROWS, *, places=4, group=GROUP, state="float32"):
    return ProbedStep(
        rows=rows, num_logit_places=places, optimizer="AdamW", optimizer_dtypes={state: 80},
        groups=(group,),
    )  # fmt: skip


def run(backend="builtin", *, seed=0, losses=(1.0, 0.9), steps=None, clip=1.0, **changes):
    facts = {
        "eos_token_id": 2, "bos_token_id": None, "pad_token_id": 0,
        "trained_dtypes": {"float32": 40}, "frozen_dtypes": {"bfloat16": 100},
        "gradient_checkpointing": False, "adapter": ADAPTER,
        "steps": steps or (step(), step()),
    }  # fmt: skip
    return ProbedRun(
        backend=backend, seed=seed, probe=Probe(**{**facts, **changes}), losses=losses,
        effective={"max_grad_norm": clip},
    )  # fmt: skip


def compare(*runs, precision="fp32"):
    reference = Reference(loss=1.0, rows=ROWS)
    cell = ProbedCell(cell={}, precision=precision, runs=runs, reference=reference)
    return compare_probes("study", [cell])


def named(parity):
    return {difference.what: difference for difference in parity.differences}


def test_backends_that_do_the_same_differ_in_nothing():
    parity = compare(run(), run("swift"))
    assert (parity.tokens_equal, parity.labels_equal, parity.differences) == (True, True, ())
    assert parity.step0_loss == {"reference": 1.0, "builtin": 1.0, "swift": 1.0}
    assert parity.cells[0].num_tokens == {"builtin": (8, 8), "swift": (8, 8)}
    assert parity.cells[0].num_labels == {"builtin": (4, 4), "swift": (4, 4)}


def test_the_first_other_token_is_named_by_its_place():
    longer = (ROWS[0], ProbedRow(token_ids=(5, 6, 8, 13, 2), labels=(-100, -100, 8, 13, 2)))
    parity = compare(run(), run("swift", steps=(step(longer), step(longer))))
    assert not parity.tokens_equal
    values = named(parity)["token ids"].values
    assert values["swift"] == ("row 2, token 4: [13, 2] in place of [2] (5 tokens, not 4)")
    assert values["builtin"] == "as the reference"


def test_labels_alone_may_differ():
    prompt = tuple(ProbedRow(token_ids=row.token_ids, labels=row.token_ids) for row in ROWS)
    parity = compare(run(), run("swift", steps=(step(prompt), step(prompt))))
    assert parity.tokens_equal
    assert not parity.labels_equal
    assert list(named(parity)) == ["labels"]


def test_another_order_is_told_from_other_tokens():
    turned = step(ROWS[::-1])
    parity = compare(run(), run("swift", steps=(turned, turned)))
    found = named(parity)["order of rows within a step"]
    assert found.values == {"builtin": "the recipe's", "swift": "another order"}
    assert found.affects == "cost"
    assert (parity.tokens_equal, parity.labels_equal) == (True, True)


def test_rows_that_differ_after_the_first_step_are_found():
    parity = compare(run(), run("swift", steps=(step(), step(ROWS[:1] * 2))))
    assert not parity.tokens_equal
    assert list(named(parity)) == ["rows after the first step"]


@pytest.mark.parametrize(("precision", "is_close"), [("fp32", False), ("bf16", True)])
def test_the_first_loss_must_be_that_of_a_plain_forward_pass(precision, is_close):
    parity = compare(run(), run("swift", losses=(1.002, 0.9)), precision=precision)
    found = named(parity)
    assert ("loss before the first step" not in found) == is_close
    if not is_close:
        assert found["loss before the first step"].values["swift"] == "+0.20% of the reference"


SETTINGS = {
    "learning rates": {
        "steps": (step(group=GROUP.model_copy(update={"learning_rate": 2e-3})),) * 2
    },
    "betas": {"steps": (step(group=GROUP.model_copy(update={"betas": (0.9, 0.95)})),) * 2},
    "epsilon": {"steps": (step(group=GROUP.model_copy(update={"epsilon": 1e-6})),) * 2},
    "decayed parameters by weight decay": {
        "steps": (step(group=GROUP.model_copy(update={"weight_decay": 0.0})),) * 2
    },
    "gradient clipping": {"clip": 0.5},
    "end-of-sequence token": {"eos_token_id": 3},
    "trained parameters": {"trained_dtypes": {"float32": 41}},
    "format of trained weights": {"trained_dtypes": {"bfloat16": 40}},
    "format of frozen weights": {"frozen_dtypes": {"float32": 100}},
    "format of the optimiser's state": {"steps": (step(state="bfloat16"),) * 2},
    "adapter: alpha": {"adapter": {**ADAPTER, "alpha": 32.0}},
    "adapter: dropout": {"adapter": {**ADAPTER, "dropout": 0.05}},
    "adapter: layers": {"adapter": {**ADAPTER, "layers": ["q_proj", "v_proj"]}},
    "gradient checkpointing": {"gradient_checkpointing": True},
    "logits are computed for": {"steps": (step(places=9),) * 2},
}


@pytest.mark.parametrize("what", SETTINGS)
def test_every_setting_that_differs_is_named(what):
    parity = compare(run(), run("swift", **SETTINGS[what]))
    assert list(named(parity)) == [what]
    cost_only = what in ("gradient checkpointing", "logits are computed for")
    assert named(parity)[what].affects == ("cost" if cost_only else "result")


def test_loss_curves_are_held_against_the_spread_of_the_seeds():
    ours = [run(seed=n, losses=(1.0, 0.90 + n / 100)) for n in range(3)]
    near = [run("swift", seed=n, losses=(1.0, 0.91 + n / 100)) for n in range(3)]
    far = [run("swift", seed=n, losses=(1.0, 0.95 + n / 100)) for n in range(3)]
    assert compare(*ours, *near).differences == ()
    (difference,) = compare(*ours, *far).differences
    assert difference.what == "loss curves over the seeds"
    assert "step 2: 0.9100 and 0.9600" in difference.values["builtin and swift"]


def test_curves_that_no_seed_moves_may_still_be_rounded_apart():
    ours = [run(seed=n, losses=(1.0, 0.9)) for n in range(3)]
    rounded = [run("swift", seed=n, losses=(1.0, 0.9000003)) for n in range(3)]
    far = [run("swift", seed=n, losses=(1.0, 0.91)) for n in range(3)]
    assert compare(*ours, *rounded).differences == ()
    assert [d.what for d in compare(*ours, *far).differences] == ["loss curves over the seeds"]


def test_a_backend_that_failed_is_told_and_the_others_are_compared():
    failed = ProbedRun(backend="swift", seed=0, error="it died")
    parity = compare(run(), failed, run("llamafactory"))
    assert parity.backends == ("builtin", "llamafactory")
    assert parity.cells[0].failed == {"swift": "it died"}
