"""A tiny environment: real wheels, a real lock and the real uv, without a network."""

import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from bakeoff.envs.install import Installer
from bakeoff.envs.spec import EnvSpec
from bakeoff.envs.uv import Uv, find_uv
from bakeoff.schema.plan import Launch

BACKEND = '''
"""A build that lasts until somebody says go."""
import pathlib, shutil, time
HOME = pathlib.Path({home!r})
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    (HOME / "building").touch()
    while not (HOME / "go").exists():
        time.sleep(0.1)
    wheel = next(HOME.glob("wheels/slow-*.whl.ready"))
    shutil.copy(wheel, pathlib.Path(wheel_directory) / wheel.stem)
    return wheel.stem
'''


@dataclass
class Made:
    """An environment `tiny` that holds the distribution `tiny-framework`."""

    folder: Path
    lines: list[str] = field(default_factory=lambda: ["tiny-framework==1.0"])
    said: list[str] = field(default_factory=list)

    def __post_init__(self):
        (self.folder / "locks").mkdir(parents=True)
        self.wheel("tiny_framework", "1.0")
        self.relock(self.lines)

    @property
    def cache(self) -> Path:
        return self.folder / "缓存 cache"

    @property
    def uv(self) -> Uv:
        return find_uv(
            {
                **os.environ,
                "UV_FIND_LINKS": str(self.folder / "wheels"),
                "UV_NO_INDEX": "1",
                "UV_CACHE_DIR": str(self.folder / "uv-cache"),
            }
        )

    def spec(self, **changes) -> EnvSpec:
        known = {
            "name": "tiny",
            "home": self.folder,
            "distribution": "tiny-framework",
            "requirements": ("tiny-framework",),
            "imports": ("tiny_framework",),
            "num_bytes": 1000,
            "trial": lambda trial: Launch(argv=(str(trial.python), "-c", "pass")),
        }
        return EnvSpec(**{**known, **changes})

    def installer(self, **changes) -> Installer:
        known = {"cache_dir": self.cache, "uv": self.uv, "report": self.said.append}
        return Installer(**{**known, **changes})

    def relock(self, lines: list[str]) -> None:
        text = "".join(f"{line}\n" for line in lines)
        (self.folder / "locks" / "tiny.txt").write_text(text, encoding="utf-8")

    def wheel(self, module: str, version: str, *, ending: str = "") -> Path:
        """A wheel with one module and one script."""
        path = self.folder / "wheels" / f"{module}-{version}-py3-none-any.whl{ending}"
        path.parent.mkdir(exist_ok=True)
        info = f"{module}-{version}.dist-info"
        name = module.replace("_", "-")
        files = {
            f"{module}.py": f"VERSION = {version!r}\ndef main():\n    print(VERSION)\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {module}:main\n",
        }
        record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in {**files, f"{info}/RECORD": record}.items():
                archive.writestr(name, text)
        return path

    def slow_package(self) -> str:
        """A requirement whose building lasts until the file `go` is there."""
        source = self.folder / "slow"
        source.mkdir()
        self.wheel("slow", "1.0", ending=".ready")
        (source / "backend.py").write_text(BACKEND.format(home=str(self.folder)), encoding="utf-8")
        (source / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
            '[project]\nname = "slow"\nversion = "1.0"\n',
            encoding="utf-8",
        )
        (source / "PKG-INFO").write_text(
            "Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n", encoding="utf-8"
        )
        import tarfile

        with tarfile.open(self.folder / "wheels" / "slow-1.0.tar.gz", "w:gz") as archive:
            archive.add(source, "slow-1.0")
        return "slow==1.0"
