"""Which settings a search may choose, what it looks for, and what it may spend."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from bakeoff.schema.recipe_part import Count, Positive, RecipePart

SearchMethod = Literal["tpe", "cmaes", "random", "grid"]
Objective = Literal["validation_loss", "exact_match", "peak_memory", "train_time"]
Pruning = Literal["none", "halving", "hyperband", "median"]
Scalar = str | int | float | bool | None


class Dimension(RecipePart):
    """One setting of the space: a range, or choices."""

    low: float | None = None
    high: float | None = None
    log: bool = False
    """Equal steps are equal factors, as a learning rate wants it."""

    whole: bool = False
    """Whole numbers only."""

    choices: tuple[Any, ...] | None = None
    """Values to choose from, in no order; a plain list says the same."""

    points: Annotated[int, Field(ge=2)] = 5
    """So many values of a range when `method: grid` spells it out."""

    when: dict[str, tuple[Scalar, ...]] = Field(default_factory=dict)
    """Searched only where other settings have these values: `when: {method: lora}`."""

    source: str | None = None
    """Where the range comes from, for the report."""

    @field_validator("when", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: v if isinstance(v, list | tuple) else [v] for k, v in value.items()}

    @model_validator(mode="after")
    def _a_range_or_choices(self) -> Self:
        is_range = self.low is not None and self.high is not None
        if is_range == (self.choices is not None) or (self.low is None) != (self.high is None):
            raise ValueError("`low` and `high`, or `choices`")
        if self.choices is not None and not self.choices:
            raise ValueError("at least one choice")
        if self.low is not None and self.high is not None:
            if self.low >= self.high:
                raise ValueError("a `low` below `high`")
            if self.log and self.low <= 0:
                raise ValueError("a `low` above 0 with `log: true`")
        return self


class BudgetSpec(RecipePart):
    """When a search ends; whichever comes first. What is in work then is finished."""

    runs: Positive | None = 20
    """Trials, pruned ones and those that were found finished among them."""

    tokens: Positive | None = None
    """Trained on, in all trials."""

    hours: Annotated[float, Field(gt=0)] | None = None
    """Of all runs together, whatever ran side by side."""

    cost: Annotated[float, Field(gt=0)] | None = None
    """In the currency of `measure.price_per_hour`."""

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("at least one of runs, tokens, hours, cost")
        return self


class ConfirmSpec(RecipePart):
    """What happens to the best candidates: noise must not choose among them."""

    top: Count = 3
    """So many of the best are trained again; 0: none, and then no winner is declared."""

    seeds: tuple[int, ...] = (1, 2, 3)
    """Seeds of those trainings. None of them is the one that was searched with: a candidate that
    was lucky with that one is judged by others."""

    @field_validator("seeds")
    @classmethod
    def _several(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < max(2, len(seeds)):
            raise ValueError("at least two seeds, and each only once")
        return seeds


class SearchSpec(RecipePart):
    """`bakeoff search`: settings are tried, and the best of them tried again."""

    space: dict[str, Dimension] | None = None
    """By the recipe's dotted keys: `train.learning_rate: {low: 1e-4, high: 1e-2, log: true}`,
    `lora.rank: [8, 32]`. When absent, what the literature has searched for the method."""

    objective: tuple[Objective, ...] = ("validation_loss",)
    """`exact_match` is asked on the validation split, never on the test split. Several objectives
    give a Pareto front."""

    method: SearchMethod = "tpe"
    """`tpe` for any space; `cmaes` where all settings are numbers; `random`; `grid` tries all."""

    pruning: Pruning = "halving"
    """Ends trials early that fall behind the others at the same part of the training."""

    budget: BudgetSpec = BudgetSpec()
    confirm: ConfirmSpec = ConfirmSpec()
    workers: Positive = 1
    """Trials side by side on this machine."""

    seed: int = 0
    """Of the search itself."""

    proxy: dict[str, Any] = Field(default_factory=dict)
    """Settings that make the trials cheaper than the training that is meant: `{data.num_train:
    500}`, `{model: SMALLER}`. The best are then trained as meant, and the report says how far the
    two orders agree."""

    @field_validator("space", mode="before")
    @classmethod
    def _a_list_is_choices(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: {"choices": v} if isinstance(v, list) else v for k, v in value.items()}

    @field_validator("objective", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("objective")
    @classmethod
    def _each_once(cls, value: tuple[Objective, ...]) -> tuple[Objective, ...]:
        if not value or len(set(value)) < len(value):
            raise ValueError("at least one objective, and each only once")
        return value
