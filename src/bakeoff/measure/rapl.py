"""Energy of processors, by the counters that Linux shows in ``/sys/class/powercap`` (RAPL).

They count whole packages, whoever used them, and on most systems only the administrator may read
them: then there is no reading. A counter starts again from zero within the hour, so it has to be
read more often than that.
"""

from pathlib import Path

_FOLDER = Path("/sys/class/powercap")


class Rapl:
    """Joules of each package since this object was made."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._zones = {}
        self._last: dict[str, int] = {}
        for path in sorted(folder.glob("intel-rapl:*")):
            # `intel-rapl:0` is a package; `intel-rapl:0:0` is a part of it, counted in it.
            name, now = _text(path / "name"), _number(path / "energy_uj")
            if (
                path.name.count(":") == 1
                and name
                and name.startswith("package")
                and now is not None
            ):
                self._zones[name], self._last[name] = path, now
        self._microjoules = dict.fromkeys(self._zones, 0)

    def read(self) -> dict[str, float]:
        """By package; empty where the system tells nothing."""
        for name, path in self._zones.items():
            now = _number(path / "energy_uj")
            if now is None:
                continue
            gained = now - self._last[name]
            if gained < 0:
                gained += _number(path / "max_energy_range_uj") or -gained
            self._microjoules[name] += gained
            self._last[name] = now
        return {name: total / 1e6 for name, total in self._microjoules.items()}


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return None


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text else None
