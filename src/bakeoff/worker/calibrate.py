"""What matrix products reach on the device of a training that has just ended.

The yardstick of MFU: measured, because published peaks are those of other clocks, other libraries
and no CPU at all. It takes about half a second, after the work, in the training's own process with
its own settings; the answer is kept in the folder that ``measure.json`` names, by device, threads,
number format and version of torch, and not measured again. One from a busy machine is not kept.
"""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from bakeoff.worker.events import Events
from bakeoff.worker.machine import write_json_atomic

ASKED, ANSWER = "measure.json", "matmul.json"
_SIZES = (1024, 2048, 4096, 8192)
_LONG_ENOUGH_SECONDS = 0.01
"""Of one product; larger matrices would measure the same."""

_BUDGET_SECONDS = 0.4
_BUSY_LOAD = 1.25
_FORMATS = ("bfloat16", "float16", "float32")


def main(events: Events, run_dir: Path = Path()) -> None:
    """Write ``matmul.json`` if the run is to be calibrated; a failure costs only the yardstick."""
    if not (run_dir / ASKED).exists() or not (run_dir / "result.json").exists():
        return
    asked = json.loads((run_dir / ASKED).read_text(encoding="utf-8"))
    result = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))
    effective, hardware = result["effective"], result["hardware"]
    kind = {
        "device": effective["device"],
        "hardware": hardware["gpus"] if "cuda" in effective["device"] else hardware["cpu"],
        "num_threads": hardware["num_torch_threads"],
        "format": _format(effective),
        "torch": result["packages"].get("torch"),
    }
    digest = hashlib.sha256(json.dumps(kind, sort_keys=True).encode()).hexdigest()[:12]
    kept = Path(asked["calibration_dir"]) / f"matmul-{digest}.json"
    if not kept.exists():
        events.phase("calibrate")
        try:
            found = _measure(kind["device"], kind["format"])
        except (RuntimeError, NotImplementedError) as error:
            events.warning(f"How fast the device multiplies matrices is not known ({error}).")
            return
        if _is_busy():
            write_json_atomic(run_dir / ANSWER, {**kind, **found})
            return
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_json_atomic(kept, {**kind, **found})
    write_json_atomic(run_dir / ANSWER, json.loads(kept.read_text(encoding="utf-8")))


def _is_busy() -> bool:
    """Whether more wants the processors than the training itself did."""
    if not hasattr(os, "getloadavg"):
        return False
    return os.getloadavg()[0] > _BUSY_LOAD * (os.cpu_count() or 1)


def _format(effective: dict[str, Any]) -> str:
    """What the training multiplied in; frozen weights in 4 bits are multiplied in another."""
    named = (effective.get(key) for key in ("autocast", "weight_dtype", "trained_dtype"))
    return next((name for name in named if name in _FORMATS), "bfloat16")


def _measure(device: str, name: str) -> dict[str, Any]:
    """The best rate of several products of square matrices; 2 n^3 operations each."""
    import torch

    best: dict[str, Any] = {}
    for size in _SIZES:
        a, b = (torch.randn(size, size, device=device).to(getattr(torch, name)) for _ in range(2))
        _timed(a, b)  # the first one loads and chooses what the others use
        seconds = _timed(a, b)
        end = time.perf_counter() + _BUDGET_SECONDS / len(_SIZES)
        while time.perf_counter() < end:
            seconds = min(seconds, _timed(a, b))
        rate = 2 * size**3 / seconds
        if not best or rate > best["flops_per_second"]:
            best = {"flops_per_second": rate, "size": size}
        if seconds > _LONG_ENOUGH_SECONDS:
            break
    return best


def _timed(a: Any, b: Any) -> float:
    """Seconds until the product is there."""
    import torch

    start = time.perf_counter()
    product = a @ b
    if product.is_cuda:
        torch.cuda.synchronize()
    float(product[0, 0])  # other devices have no name for waiting that all versions know
    return time.perf_counter() - start
