"""The shapes that rows come in: one file and one line of the registry each."""

from bakeoff.base.registry import Registry
from bakeoff.interfaces import RowFormat

ROW_FORMATS: Registry[RowFormat] = Registry(
    "format",
    {
        "alpaca": "bakeoff.data.formats.alpaca:FORMAT",
        "messages": "bakeoff.data.formats.chat:MESSAGES",
        "prompt-response": "bakeoff.data.formats.prompt_response:FORMAT",
        "query-response": "bakeoff.data.formats.query_response:FORMAT",
        "sharegpt": "bakeoff.data.formats.chat:SHAREGPT",
        "text": "bakeoff.data.formats.text:FORMAT",
    },
)
