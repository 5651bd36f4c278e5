"""Which package index a person has chosen for pip: uv does not read pip's own files."""

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

_VARIABLES = {
    "index-url": "PIP_INDEX_URL",
    "find-links": "PIP_FIND_LINKS",
    "cert": "PIP_CERT",
}


def with_pip_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, with pip's files as variables where the variable is not set."""
    settings: dict[str, str] = {}
    for path in _files(environment):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # pip itself says so; a broken file of pip's is no reason to stop here
        for section in ("global", "install"):
            for key, variable in _VARIABLES.items():
                if parser.has_option(section, key):
                    settings[variable] = " ".join(parser.get(section, key).split())
    return {**settings, **environment}


def _files(environment: Mapping[str, str]) -> Iterator[Path]:
    """Later ones go first; see "Configuration Files" in pip's documentation."""
    if environment.get("PIP_CONFIG_FILE") == os.devnull:
        return
    home = Path.home()
    if sys.platform == "win32":
        yield Path(environment.get("PROGRAMDATA", "C:/ProgramData")) / "pip" / "pip.ini"
        yield home / "pip" / "pip.ini"
        yield Path(environment.get("APPDATA", home)) / "pip" / "pip.ini"
    else:
        yield Path("/etc/pip.conf")
        yield home / ".pip" / "pip.conf"
        yield Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
        if sys.platform == "darwin":
            yield home / "Library" / "Application Support" / "pip" / "pip.conf"
    if named := environment.get("PIP_CONFIG_FILE"):
        yield Path(named)
