"""What a study is about: the model, the data, and how a row of the data becomes text."""

from typing import Any, Literal, Self

from pydantic import field_validator, model_validator

from bakeoff.schema.recipe_part import Count, Positive, RecipePart

RowFormatName = Literal[
    "auto", "alpaca", "sharegpt", "messages", "prompt-response", "query-response", "text"
]


class ModelSpec(RecipePart):
    """Which model to start from."""

    source: str
    """`builtin:NAME`, a folder, or the id of a model on a hub (`Qwen/Qwen2.5-1.5B`)."""

    revision: str | None = None
    """Commit, tag or branch on the hub; pin a commit to make a study repeatable."""

    trust_remote_code: bool = False
    """Allow Python code that comes with the model to run on this machine."""

    num_hidden_layers: Positive | None = None
    """So many of its decoder layers, half from its beginning and half from its end: a small
    stand-in for the model, of which a copy is made. All when absent."""

    @property
    def title(self) -> str:
        """What it is called on the screen."""
        layers = self.num_hidden_layers
        return self.source if layers is None else f"{self.source} ({layers} layers)"


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
