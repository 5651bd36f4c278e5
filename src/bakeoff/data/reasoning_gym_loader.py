"""One generator of reasoning-gym without the rest of it.

``import reasoning_gym`` loads a hundred generators in three seconds and wants packages that only
they need. The one used here needs five small modules of the standard library's means, so its
parents are replaced by empty packages while it is imported. Nothing of that stays in
``sys.modules``: whoever imports reasoning-gym later gets the real one.
"""

import importlib
import importlib.util
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

from bakeoff.base.errors import UserError

_ROOT = "reasoning_gym"
_PARENTS = (_ROOT, f"{_ROOT}.coaching", f"{_ROOT}.arithmetic")
_MODULE = f"{_ROOT}.arithmetic.gsm_symbolic.gsm_symbolic"
_lock = threading.Lock()


def load_generator() -> tuple[Any, Any]:
    """The classes of the dataset and of its configuration.

    Raises:
        UserError: reasoning-gym is not installed, or this version is built otherwise.
    """
    spec = importlib.util.find_spec(_ROOT)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "`builtin:gsm-symbolic` needs the package reasoning-gym, which is not installed",
            hint="pip install --no-deps reasoning-gym",
        )
    with _lock:
        others = {name: sys.modules.pop(name) for name in _loaded()}
        try:
            return _load(Path(spec.submodule_search_locations[0]))
        except (ImportError, AttributeError) as error:
            raise UserError(
                f"this version of reasoning-gym cannot be used: {error}",
                hint="pip install --no-deps reasoning-gym==0.1.25",
            ) from error
        finally:
            for name in _loaded():
                del sys.modules[name]
            sys.modules.update(others)


def _load(folder: Path) -> tuple[Any, Any]:
    for name in _PARENTS:
        package = ModuleType(name)
        package.__path__ = [str(folder.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    module = importlib.import_module(_MODULE)
    dataset_class, config_class = module.GSMSymbolicDataset, module.GSMSymbolicDatasetConfig
    # The templates are imported at first use, which must come while the parents are replaced.
    templates = dataset_class(config_class(seed=0, size=1)).generators

    class Dataset(dataset_class):  # type: ignore[misc, valid-type]
        generators = templates

    return Dataset, config_class


def _loaded() -> list[str]:
    return [name for name in sys.modules if name == _ROOT or name.startswith(f"{_ROOT}.")]
