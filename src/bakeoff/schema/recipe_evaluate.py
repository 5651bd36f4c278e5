"""How models are scored."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from bakeoff.schema.recipe_part import Count, Positive, Precision, RecipePart

Asking = Literal["as-trained", "raw", "chat"]
DEFAULT_MAX_NEW_TOKENS = 256
"""Of a task that says nothing itself, as the harness has it."""


class EvalSpec(RecipePart):
    """How models are scored, by lm-evaluation-harness."""

    tasks: tuple[str, ...] = ("data",)
    """`data` asks the recipe's own test split; any other name is one of the harness's tasks, groups
    or tags (`gsm8k`, `mmlu`), or one of your own in `include_path`."""

    include_path: str | None = None
    """A folder with your own task files for the harness."""

    task_data: dict[str, str] = Field(default_factory=dict)
    """Rows on this machine in place of a hub's, by the name of a task: `{gsm8k: path/to/gsm8k}`, a
    folder with `train.jsonl` and `test.jsonl` in the columns that the task reads."""

    ask: tuple[Asking, ...] = ("as-trained",)
    """How questions are put: `as-trained` (as `prompt` says), `raw` (plain text) or `chat` (by the
    model's own chat template); each is one run."""

    split: Literal["test", "validation"] = "test"
    """Which rows `data` asks; whoever chooses settings by a score asks `validation`."""

    num_fewshot: tuple[Count, ...] = (0,)
    """Worked examples before each question, drawn from the training split; each is one run."""

    limit: Positive | None = None
    """Ask only the first so many items of each task."""

    max_new_tokens: Positive | None = None
    """Longest answer; absent: what the task says, 256 where it says nothing."""

    temperature: Annotated[float, Field(ge=0)] = 0.0
    """Above 0 answers are drawn at random; 0 takes the likeliest token."""

    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of drawn answers: only from the likeliest tokens that together have this probability."""

    until: tuple[str, ...] | None = None
    """Texts that end an answer; absent: what the task says."""

    batch_size: Positive | Literal["auto"] = 16
    """Questions answered at a time; `auto`: as many as memory allows for the longest of them. When
    memory runs out all the same, it is halved and the run goes on."""

    world_size: Positive = 1
    """Processes that share the questions, one a GPU, each with the whole model."""

    engine: Literal["hf", "builtin", "vllm"] = "hf"
    """What generates: `hf`, padded batches by transformers, is the reference; `builtin` gives the
    same answers several times faster; `vllm` runs in its own environment. In bf16 rounding may
    change a few answers: compare within one."""

    precision: Precision = "bf16"
    base: bool = True
    """Score the untouched model as well."""

    merged: bool = False
    """Fold an adapter into the weights before it is scored. Either way the record tells how far the
    merged model's logits are from those of the two apart."""

    every: Count = 0
    """Ask a few validation rows each so many steps of a training (built-in trainer, one device);
    0: never. The time is told apart from the training's."""

    every_questions: Positive = 16
    """How many rows are asked each time."""

    seed: int = 1234
    """Draws the few-shot examples."""

    @field_validator("tasks", "num_fewshot", "ask", "until", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return value if value is None or isinstance(value, list | tuple) else [value]

    @field_validator("tasks", "num_fewshot", "ask")
    @classmethod
    def _distinct(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if not values or len(set(values)) < len(values):
            raise ValueError("at least one entry, and each only once")
        return values
