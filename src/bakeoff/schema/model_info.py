"""What a model is: printed by ``bakeoff model info --json``. None where the files do not say."""

from typing import Literal

from bakeoff.schema.document import Document

ModelKind = Literal["base", "probably base", "probably chat", "chat"]


class ModelFile(Document):
    name: str
    num_bytes: int


class ModelInfo(Document):
    source: str
    folder: str
    revision: str | None
    fetched_from: str | None
    architecture: str | None
    model_type: str | None
    num_parameters: int | None
    """An output layer that is the embedding is counted once; None for quantised weights."""

    tied_embeddings: bool | None
    dtypes: dict[str, int]
    """Numbers stored by format, as safetensors names it."""

    context_length: int | None
    vocabulary_size: int | None
    num_layers: int | None
    hidden_size: int | None
    kind: ModelKind
    kind_reasons: tuple[str, ...]
    chat_template: str | None
    eos_token: str | None
    eos_token_id: int | None
    generation_eos_token_ids: tuple[int, ...] | None
    """None: there are no generation settings."""

    pad_token: str | None
    pad_token_id: int | None
    traps: tuple[str, ...]
    licence: str | None
    files: tuple[ModelFile, ...]
