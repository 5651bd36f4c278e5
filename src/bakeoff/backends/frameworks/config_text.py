"""A framework's settings as the YAML file that a person would write for it.

Every value is YAML and JSON at once, on one line, so that the worker can set a line anew without a
YAML library of ours in the framework's environment. A number never looks like ``1e-05``, which YAML
1.1 takes for text.
"""

import json
from collections.abc import Mapping
from typing import Any

Section = Mapping[str, Any]


def yaml_text(heading: str, sections: Mapping[str, Section]) -> str:
    """Lines of ``key: value``, each section that has any under a comment with its name."""
    parts = [f"# {heading}\n"]
    for name, values in sections.items():
        lines = [f"{key}: {scalar(value)}\n" for key, value in values.items()]
        if lines:
            parts.append(f"\n# {name}\n{''.join(lines)}")
    return "".join(parts)


def scalar(value: Any) -> str:
    if isinstance(value, float):
        return _number(value)
    return json.dumps(value, ensure_ascii=False)


def _number(value: float) -> str:
    text = repr(value)
    mantissa, sign, exponent = text.partition("e")
    return f"{mantissa}.0e{exponent}" if sign and "." not in mantissa else text
