"""What a person writes: one recipe is one study.

The classes here describe ONE cell: every field is a scalar (or a list that is itself a value). In
the file, a list where a scalar is allowed spans the matrix, and a mapping from method to value
(``learning_rate: {lora: 1e-3, full: 5e-5}``) chooses by method; ``bakeoff.planning.expand`` turns
the one into many of the other.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from bakeoff.base.hub_access import HubName
from bakeoff.schema.document import Document

Method = Literal["lora", "full", "qlora", "freeze"]
ADAPTER_METHODS: tuple[Method, ...] = ("lora", "qlora")
"""Methods that train an adapter beside the model's own weights."""

Precision = Literal["bf16", "fp32"]
TrainPrecision = Literal["bf16", "fp32", "bf16-mixed"]
Scheduler = Literal["cosine", "linear", "constant"]

RowFormatName = Literal[
    "auto", "alpaca", "sharegpt", "messages", "prompt-response", "query-response", "text"
]

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


def _check_name(value: str) -> str:
    if not value or not all(part.isalnum() or part in "-_." for part in value) or value[0] == ".":
        raise ValueError("only letters, digits, `-`, `_` and `.`, not starting with a dot")
    return value


class RecipePart(Document):
    """The text under each key is its description in the schema that editors read."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class ModelSpec(RecipePart):
    """Which model to start from."""

    source: str
    """`builtin:NAME`, a folder, or the id of a model on a hub (`Qwen/Qwen2.5-1.5B`)."""

    revision: str | None = None
    """Commit, tag or branch on the hub; pin a commit to make a study repeatable."""

    trust_remote_code: bool = False
    """Allow Python code that comes with the model to run on this machine."""


class Columns(RecipePart):
    """Which columns of a row hold what; those left out have the usual names of the format."""

    prompt: str = "question"
    """The column with what the model is asked (alpaca: `instruction`)."""

    response: str = "answer"
    """The column with what it should say (alpaca: `output`)."""

    query: str | None = None
    """The column that goes on with the question after the prompt (alpaca: `input`)."""

    system: str | None = None
    """The column with the system message."""

    history: str | None = None
    """The column with earlier turns, a list of [question, answer] (alpaca)."""

    messages: str | None = None
    """The column with the turns (sharegpt: `conversations`, OpenAI: `messages`)."""

    tools: str | None = None
    """The column with the descriptions of tools."""

    text: str | None = None
    """The column with plain text, all of which is learned."""


class Tags(RecipePart):
    """What the messages of a row call things; those left out have the usual names."""

    role: str | None = None
    """The key that says who speaks (sharegpt: `from`)."""

    content: str | None = None
    """The key with what is said (sharegpt: `value`)."""

    user: str | None = None
    """Who asks (sharegpt: `human`)."""

    assistant: str | None = None
    """Who answers (sharegpt: `gpt`)."""

    system: str | None = None
    observation: str | None = None
    """What a tool answered."""

    function: str | None = None
    """What the assistant says to a tool (sharegpt: `function_call`)."""


class DataSpec(RecipePart):
    """Which rows to train, validate and test on."""

    source: str
    """`builtin:NAME`, a folder or a file, the id of a dataset on a hub (`openai/gsm8k`), an entry
    of LLaMA-Factory's list (`path/to/dataset_info.json:NAME`), or what ms-swift takes
    (`[hf::|ms::]ID_OR_PATH[:SUBSET/SUBSET][#COUNT]`, where `ms::` is ModelScope)."""

    format: RowFormatName = "auto"
    """The shape of the rows; `auto` sees it from the first row of each file."""

    subset: str | None = None
    """The subset (configuration) on the hub, such as `main`."""

    revision: str | None = None
    """Commit, tag or branch on the hub."""

    train: str = "train"
    """Name of the split, or path of a file, to train on."""

    validation: str | None = None
    """Name or path of the validation split; without it rows are taken out of `train`."""

    test: str = "test"
    """Name or path of the split that is scored; never trained on, never shown as an example."""

    columns: Columns = Columns()
    tags: Tags = Tags()

    num_train: Positive | None = None
    """Use at most this many training rows (after shuffling); all when absent."""

    num_validation: Count = 64
    """Rows held out of training to watch the loss."""

    num_test: Positive | None = None
    """Score at most this many test rows; all when absent."""

    seed: int = 0
    """Draws and orders the rows; the same for every run of a study."""

    allow_overlap: bool = False
    """Go on although test questions stand in the training split; the report says so."""


class PromptSpec(RecipePart):
    """How a row becomes text, the same for training and for evaluation."""

    template: str = "raw"
    """`raw`: plain text, for base models; `chat`: the model's own chat template; or a chat template
    in Jinja over `messages`, written here or in a file that is named."""

    text: str = "Question: {{prompt}}\nAnswer:"
    """Jinja template over `prompt`; the harness's `gsm8k` task asks in this very form. In a chat it
    is what the user says, and `{{prompt}}` when absent."""

    separator: str = " "
    """Between the prompt and the response; a chat template has its own."""

    system: str | None = None
    """System message of a chat, for rows that bring none; absent: what the template says itself."""

    @property
    def is_raw(self) -> bool:
        return self.template == "raw"

    @model_validator(mode="before")
    @classmethod
    def _of_a_chat(cls, raw: Any) -> Any:
        """In a chat the template, not the text, says where question and answer begin."""
        if isinstance(raw, dict) and raw.get("template", "raw") != "raw":
            return {"text": "{{prompt}}", "separator": "", **raw}
        return raw

    @field_validator("template")
    @classmethod
    def _known(cls, template: str) -> str:
        # The name of a file has become the file's text by now (`bakeoff.recipes`).
        if template in ("raw", "chat") or ("{" in template and "messages" in template):
            return template
        raise ValueError("`raw`, `chat`, a Jinja template over `messages`, or the name of its file")

    @field_validator("text")
    @classmethod
    def _uses_the_prompt(cls, text: str) -> str:
        from jinja2 import Environment, TemplateSyntaxError, meta  # noqa: PLC0415 - slow to import

        try:
            used = meta.find_undeclared_variables(Environment(autoescape=False).parse(text))  # noqa: S701
        except TemplateSyntaxError:
            return text  # the renderer, which knows the harness's filters, says what is wrong
        if "prompt" not in used:
            raise ValueError("a text that uses {{prompt}}, or every question would be the same")
        return text

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.is_raw and self.system is not None:
            raise ValueError(
                "no `system` with `template: raw`: write it into `text`, or say `template: chat`"
            )
        if not self.is_raw and self.separator:
            raise ValueError("no `separator` in a chat: its template says what stands there")
        return self


class TrainSpec(RecipePart):
    """Hyper-parameters that every method shares."""

    learning_rate: Rate = 1e-4
    """Peak learning rate; LoRA usually wants about ten times that of full fine-tuning."""

    scheduler: Scheduler = "cosine"
    """Shape of the learning rate after warm-up; cosine and linear end at zero."""

    warmup_ratio: Share = 0.03
    """Share of the steps over which the rate rises linearly from zero."""

    num_epochs: Annotated[float, Field(gt=0)] = 1.0
    """Passes over the training rows."""

    max_steps: Positive | None = None
    """Stop after this many optimiser steps, whatever `num_epochs` says."""

    batch_size: Positive = 8
    """Rows per device in one forward and backward pass."""

    gradient_accumulation: Positive = 1
    """Passes per optimiser step; rows per step = batch_size x gradient_accumulation x devices."""

    max_length: Positive = 1024
    """Longest row in tokens, end-of-sequence token included."""

    overlong: Literal["drop", "truncate-prompt-left", "error"] = "drop"
    """What happens to longer rows: left out, their prompt cut at its beginning (never the answer; a
    row whose answer alone is too long is left out), or refused. The record counts them."""

    loss_on: Literal["response", "all"] = "response"
    """Tokens that are learned: the response and its end-of-sequence token, or all."""

    precision: TrainPrecision = "bf16"
    """Number format of weights, gradients and optimiser state; `bf16-mixed` keeps them in fp32 and
    computes in bf16. Adapters are kept in fp32 in any case."""

    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    adam_beta1: Share = 0.9
    adam_beta2: Share = 0.999
    adam_epsilon: Annotated[float, Field(gt=0)] = 1e-8

    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    """Gradients are scaled down to this global norm; 0 turns clipping off."""

    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""

    memory: Literal["fast", "lean"] = "fast"
    """`lean`: as little memory as is possible without other results: activations are recomputed,
    and a pass takes a few hundred tokens. Frameworks get `gradient_checkpointing: true`."""

    validate_every: Count = 0
    """Steps between validation losses; 0: only before the first and after the last step."""

    save_every: Count = 50
    """Steps between checkpoints from which a killed training goes on; 0: none."""

    @property
    def recomputes_activations(self) -> bool:
        return self.gradient_checkpointing or self.memory == "lean"


class LoraSpec(RecipePart):
    """Low-rank adaptation (Hu et al. 2021, arXiv:2106.09685).

    Read when the method is `lora`, or `qlora`: the same over a model in 4 bits (Dettmers et al.
    2023, arXiv:2305.14314).
    """

    rank: Positive = 16
    alpha: Annotated[float, Field(gt=0)] = 32.0
    """The update is scaled by alpha / rank."""

    dropout: Share = 0.0
    target_modules: tuple[str, ...] | Literal["all-linear"] = "all-linear"
    """Names of the layers that get an adapter; `all-linear` leaves out the output layer."""

    use_rslora: bool = False
    """Scale the update by alpha / sqrt(rank) instead (Kalajdzievski 2023, arXiv:2312.03732)."""

    use_dora: bool = False
    """Learn magnitude and direction apart (Liu et al. 2024, arXiv:2402.09353)."""

    lora_plus_ratio: Annotated[float, Field(ge=1)] | None = None
    """Learning rate of B over that of A (LoRA+, Hayou et al. 2024, arXiv:2402.12354)."""

    init: Literal["default", "pissa"] = "default"
    """Where the adapter starts: at no change, or at the model's principal singular vectors (PiSSA,
    Meng et al. 2024, arXiv:2404.02948)."""


class FreezeSpec(RecipePart):
    """Training of a few layers, all others frozen; read when the method is `freeze`."""

    trainable_layers: Positive = 2
    """So many of the last transformer layers are trained; embeddings and output are not."""


class EvalSpec(RecipePart):
    """How models are scored, by lm-evaluation-harness."""

    tasks: tuple[str, ...] = ("data",)
    """`data` asks the recipe's own test split; any other name is one of the harness's tasks."""

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


class HubSpec(RecipePart):
    """Where models and data are fetched from; of no influence on results."""

    order: tuple[HubName, ...] = ("hub", "mirror", "modelscope")
    """Asked one after the other until one has what is wanted."""

    endpoint: str | None = None
    """Address of `mirror`; https://hf-mirror.com when absent. It gets no access token."""

    modelscope_endpoint: str | None = None
    """Address of `modelscope`; https://modelscope.cn when absent."""

    @field_validator("order", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("order")
    @classmethod
    def _not_empty(cls, value: tuple[HubName, ...]) -> tuple[HubName, ...]:
        if not value:
            raise ValueError("name at least one of hub, mirror, modelscope")
        return value


class PlacesSpec(RecipePart):
    """Folders for what is large; the command line (`--runs-dir`, `--cache-dir`) goes first.

    The folder above each must be there, so that a recipe for another machine fills no small disk.
    """

    runs: str | None = None
    """Results; `runs` in the working folder when absent."""

    cache: str | None = None
    """Models, prepared data and what the tools cache; the user's cache folder when absent."""

    temporary: str | None = None
    """Temporary files of the runs; the system's place when absent."""


class LimitsSpec(RecipePart):
    """When a run is given up; of no influence on results."""

    silent_minutes: Annotated[float, Field(gt=0)] = 60.0
    """A process that tells nothing for so long hangs: it is ended, and the study goes on."""


class MeasureSpec(RecipePart):
    """How time, memory and energy are measured; of no influence on what is learned."""

    interval_seconds: Annotated[float, Field(ge=0.02, le=60)] = 0.2
    """Between two readings of memory and devices; longer where reading would take 1 % of a core."""

    repeats: Annotated[int, Field(ge=1, le=100)] = 1
    """Trainings of each cell, in turns (A B A B); those after the first serve time and memory alone
    and keep no model."""

    price_per_hour: Annotated[float, Field(gt=0)] | None = None
    """What an hour of this machine costs; the record then tells what each run cost."""

    currency: str | None = None
    """Of `price_per_hour`: `CNY`, `USD`, ..."""

    @model_validator(mode="after")
    def _price_has_a_currency(self) -> Self:
        if (self.price_per_hour is None) != (self.currency is None):
            raise ValueError("`price_per_hour` and `currency` together, or neither")
        return self


OF_THE_MACHINE = ("hub", "places", "limits", "measure", "env")
"""Keys that say how a study is done here, not what is done: the same for all of its cells."""


class Recipe(RecipePart):
    """One cell of a study, fully resolved."""

    name: Annotated[str, AfterValidator(_check_name)]
    """The study's name: what `bakeoff report NAME` takes."""

    model: ModelSpec
    data: DataSpec
    prompt: PromptSpec = PromptSpec()

    backend: str = "builtin"
    """The trainer."""

    method: Method = "lora"
    strategy: str = "single"
    """How one training is spread over devices."""

    world_size: Positive = 1
    """Number of devices (processes) of one training."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where training and evaluation run; `auto` takes CUDA, then MPS, then the CPU."""

    seed: int = 0
    """Initial adapter weights and the order of rows."""

    train: TrainSpec = TrainSpec()
    lora: LoraSpec = LoraSpec()
    freeze: FreezeSpec = FreezeSpec()
    extra: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Further settings of one framework, in its own words: `extra: {swift: {neftune_noise_alpha:
    5}}`. What the recipe has a key for is refused."""

    evaluate: EvalSpec = EvalSpec()
    hub: HubSpec = HubSpec()
    places: PlacesSpec = PlacesSpec()
    limits: LimitsSpec = LimitsSpec()
    measure: MeasureSpec = MeasureSpec()
    env: dict[str, str] = Field(default_factory=dict)
    """Interpreters or virtual environments in place of our own: `env: {swift: ~/swift/bin/python}`.
    They are taken as they are; `bakeoff env check NAME --python PATH` proves one."""

    @model_validator(mode="before")
    @classmethod
    def _shorthands(cls, raw: Any) -> Any:
        """`model: ID` and `data: ID` stand for a mapping with only a source."""
        if isinstance(raw, dict):
            for key in ("model", "data"):
                if isinstance(raw.get(key), str):
                    raw = {**raw, key: {"source": raw[key]}}
            # `--set places=null` takes a block out that the recipe has.
            raw = {k: v for k, v in raw.items() if not (k in OF_THE_MACHINE and v is None)}
        return raw
