"""What a study is, once planned: ``study.json``."""

from bakeoff.schema.document import Document
from bakeoff.schema.plan import EvalPlan, Plan, TrainPlan


class Study(Document):
    name: str
    plan: Plan
    recipe_path: str
    recipe_text: str
    overrides: tuple[str, ...]
    command_line: tuple[str, ...]
    started_at: str
    """ISO 8601, UTC: of the newest `bakeoff run`."""

    @property
    def runs(self) -> list[TrainPlan | EvalPlan]:
        """In the order of the plan."""
        return self.plan.runs
