"""The base of every document that crosses a file or process boundary."""

from pydantic import BaseModel, ConfigDict


class Document(BaseModel):
    """Immutable, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
