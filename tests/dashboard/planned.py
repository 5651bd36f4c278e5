"""A study on disk as `bakeoff run` leaves it, with records made by `tests.compare.factory`."""

from pathlib import Path

from tests.compare.factory import StudyOnDisk, make_train

from bakeoff.planning.expand import expand
from bakeoff.planning.steps import Fingerprints, make_plan
from bakeoff.schema.plan import EvalPlan, Plan, TrainPlan, run_name
from bakeoff.schema.record import Record
from bakeoff.schema.study import Study
from bakeoff.store.runs import Store

HOSTILE = "<script>alert('owned')</script><img src=x onerror=\"alert('owned')\">"
SHARES = {"lora": 0.42, "full": 0.36}


def make_recipe_plan(name: str = "standard", **keys) -> Plan:
    tree = {"name": name, "model": "m", "data": "d", "method": ["lora", "full"], **keys}
    prints = Fingerprints(of_model=lambda spec: spec.source, of_data=lambda spec: spec.source)
    return make_plan(expand(tree), prints)


def save_study(runs_dir: Path, plan: Plan, *, recipe_text: str = "name: standard\n") -> Study:
    study = Study(
        name=plan.study, plan=plan, recipe_path=str(runs_dir / "recipe.yaml"),
        recipe_text=recipe_text, overrides=(), command_line=("bakeoff", "run", "recipe.yaml"),
        started_at="2026-11-23T21:00:00Z",
    )  # fmt: skip
    Store(runs_dir).save_study(study)
    return study


def planned_study(
    runs_dir: Path, *, leave: int = 0, num_items: int = 120, name: str = "standard", **keys
) -> StudyOnDisk:
    """LoRA and full fine-tuning; the last ``leave`` runs of the plan are still to do."""
    plan = make_recipe_plan(name, **keys)
    study = save_study(runs_dir, plan)
    made = StudyOnDisk(runs_dir)
    trained: dict[str, Record] = {}
    runs = study.runs[: len(study.runs) - leave]
    for step in runs:
        if (runs_dir / run_name(step)).exists():  # another study shares it
            continue
        if isinstance(step, TrainPlan):
            record = make_train(run_name(step), method=step.method, seed=step.seed, cell=step.axes)
            trained[step.id] = made.add(record)
        else:
            _evaluation(made, step, trained, num_items)
    return made


def _evaluation(made: StudyOnDisk, step: EvalPlan, trained: dict[str, Record], num_items: int):
    parent = trained.get(step.train_id or "")
    share = 0.05 if parent is None else SHARES[str(parent.cell["method"])]
    made.add_model(
        run_name(step), share, flexible=share + 0.08, parent=parent, num_items=num_items,
        num_fewshot=step.num_fewshot,
    )  # fmt: skip
