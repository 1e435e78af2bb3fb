"""Describe the machine and run one training step: the first part of `make gpu`.

Run `python -m benchmarks.gpu_environment FILE`; imports of torch and jax stay in its process.
"""

import argparse
import importlib
import importlib.util
import json
import shutil
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import gpu_peers, gpu_record, gpu_small_runs
from benchmarks.gpu_lines import Line
from benchmarks.gpu_processes import module, ran, tail

PROGRAMS = (("nvidia-smi", "--query-gpu=name,driver_version,clocks.sm,clocks.max.sm,memory.total",
          "--format=csv"), ("nvcc", "--version"), ("compute-sanitizer", "--version"),
         ("gcc", "--version"))  # fmt: skip
MODULES = ("cupy", "torch", "jax", "graphviz", "matplotlib", "networkx", "safetensors", "tqdm",
           "pytest", "xdist", "hypothesis", "ml_dtypes")  # fmt: skip
STEP = Line("lstm", (8, 4, 16, 32), "float32")


def run(path: Path, key: dict[str, Any], seconds: float) -> None:
    """Look in a process of its own, as part of `gpu.py`."""
    found = path.with_suffix(".found")
    status, output = ran(module("benchmarks.gpu_environment", str(found)), seconds)
    result = gpu_record.earlier(path, key)
    if found.exists():
        result |= json.loads(found.read_text(encoding="utf-8"))
        found.unlink()
    gpu_record.save(path, result | {"finished": status == 0, "output": tail(output)})


def programs() -> dict[str, str]:
    """Return what each program says of itself, or that there is none."""
    found = {}
    for name, *arguments in PROGRAMS:
        if not shutil.which(name):
            found[name] = "not installed"
            continue
        done = subprocess.run([name, *arguments], capture_output=True, text=True, timeout=30)
        found[name] = (done.stdout + done.stderr).strip()
    return found


def modules() -> dict[str, bool]:
    """Return which of the modules that take part are installed."""
    return {name: importlib.util.find_spec(name) is not None for name in MODULES}


def peers() -> dict[str, str]:
    """Return which GPU torch and jax see."""
    found = dict.fromkeys(("torch", "jax"), "not installed, or it sees no GPU")
    if torch := gpu_peers.available("torch"):
        cudnn = torch.backends.cudnn.version()
        found["torch"] = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, cuDNN {cudnn}"
    if jax := gpu_peers.available("jax"):
        found["jax"] = str(jax.devices())
    return found


def main(into: str) -> None:
    """Write what is found; a step of ours first, as it is what tells most."""
    began = time.monotonic()
    step = gpu_small_runs.tried(partial(gpu_small_runs.one, STEP))
    found = {"what": "the machine, and one training step", "step": step,
             "seconds_of_the_first_step": time.monotonic() - began}  # fmt: skip
    path = Path(into)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found), encoding="utf-8")
    found |= {"programs": programs(), "modules": modules(),
              "precision": "a choice" if gpu_peers.choice() else "float32 only"}  # fmt: skip
    path.write_text(json.dumps(found), encoding="utf-8")
    found["peers"] = peers()
    path.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser("gpu_environment", description=__doc__)
    parser.add_argument("into", help="the file to write")
    main(parser.parse_args().into)
