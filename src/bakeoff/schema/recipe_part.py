"""What the parts of a recipe share: their base class and the numbers that several of them use."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from bakeoff.schema.document import Document

Precision = Literal["bf16", "fp32"]

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


class RecipePart(Document):
    """The text under each key is its description in the schema that editors read."""

    model_config = ConfigDict(use_attribute_docstrings=True)
