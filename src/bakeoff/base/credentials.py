"""What may be shown of an address, and whether a person is logged in somewhere."""

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path


def without_secrets(text: str) -> str:
    """Addresses in a text without the names and passwords before their hosts."""
    return re.sub(r"//[^@/\s]*@", "//...@", text)


def is_logged_in(host: str, files: tuple[str, ...], environment: Mapping[str, str]) -> bool:
    """Whether one of the login files in the home folder names the host.

    Args:
        host: Without scheme.
        files: In the form of ``.netrc``; relative to the home folder, or absolute.
        environment: That says where the home folder is.
    """
    home = Path(environment.get("HOME") or environment.get("USERPROFILE") or "/")
    for name in files:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            text = (home / name).read_text(encoding="utf-8")
            if re.search(rf"^\s*machine\s+(https?://)?{re.escape(host)}", text, re.MULTILINE):
                return True
    return False
