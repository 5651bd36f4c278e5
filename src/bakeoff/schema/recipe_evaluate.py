"""How models are scored."""

from typing import Any, Literal

from pydantic import field_validator

from bakeoff.schema.recipe_part import Count, Positive, Precision, RecipePart


class EvalSpec(RecipePart):
    """How models are scored, by lm-evaluation-harness."""

    tasks: tuple[str, ...] = ("data",)
    """`data` asks the recipe's own test split; any other name is one of the harness's tasks."""

    split: Literal["test", "validation"] = "test"
    """Which rows `data` asks; whoever chooses settings by a score asks `validation`."""

    num_fewshot: tuple[Count, ...] = (0,)
    """Worked examples before each question, drawn from the training split; each is one run."""

    limit: Positive | None = None
    """Ask only the first so many items of each task."""

    max_new_tokens: Positive = 256
    batch_size: Positive = 16
    """Questions answered at a time."""

    engine: Literal["hf", "builtin"] = "hf"
    """What generates: `hf`, padded batches by transformers, is the reference; `builtin` gives the
    same answers several times faster. In bf16 rounding may change a few: compare within one."""

    precision: Precision = "bf16"
    base: bool = True
    """Score the untouched model as well."""

    merged: bool = False
    """Fold an adapter into the weights before it is scored. Either way the record tells how far the
    merged model's logits are from those of the two apart."""

    seed: int = 1234
    """Draws the few-shot examples."""

    @field_validator("tasks", "num_fewshot", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return value if isinstance(value, list | tuple) else [value]

    @field_validator("tasks", "num_fewshot")
    @classmethod
    def _distinct(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if not values or len(set(values)) < len(values):
            raise ValueError("at least one entry, and each only once")
        return values
