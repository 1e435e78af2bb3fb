"""Name the device of a benchmark: its option, its name in the results, and its description.

Below every benchmark that takes `--device`; the JSON of a device lies in `results/gpu/`.
"""

import argparse
import importlib
import importlib.metadata
import sys
from typing import Any

import numpy as np

import engine
from benchmarks.measuring import machine

PACKAGES = ("numpy", "torch", "jax", "ml_dtypes", "networkx", "pytest")
FAKE = "none: a fake of CuPy on the host"


def add_device(parser: argparse.ArgumentParser) -> None:
    """Give a benchmark the option that says where its arrays lie."""
    parser.add_argument("--device", default="numpy", help="numpy, cupy or cupy:N (numpy)")


def usable(parser: argparse.ArgumentParser, name: str) -> str:
    """Return the full name of a device; end with one line where it cannot be used."""
    try:
        return engine.device(name)
    except (ImportError, RuntimeError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {' '.join(str(error).split())}\n")


def parsed(prog: str, doc: str | None, arguments: list[str] | None) -> str:
    """Return the device that the arguments of a benchmark name, once it is known to be usable."""
    parser = argparse.ArgumentParser(prog, description=doc)
    add_device(parser)
    return usable(parser, parser.parse_args(arguments).device)


def on_host(device: str) -> bool:
    """Return True for the device of NumPy."""
    return device.partition(":")[0] == "numpy"


def result_name(name: str, device: str) -> str:
    """Return the name under which results are written: those of a GPU lie in a folder apart.

    Raises SystemExit for the fake of CuPy: its times say nothing, so no result keeps them.
    """
    if on_host(device):
        return name
    if graphics()["fake"]:
        raise SystemExit(f"{name}: CuPy is a fake here; its times are not written")
    return f"gpu/{name}"


def graphics() -> dict[str, Any]:
    """Return the current GPU: its name, what it can do, and the versions of driver and runtime."""
    cupy = importlib.import_module("cupy")
    if getattr(cupy, "IS_FAKE", False):
        return {"name": FAKE, "fake": True}
    runtime = cupy.cuda.runtime
    found = runtime.getDeviceProperties(runtime.getDevice())
    return {
        "name": found["name"].decode(),
        "fake": False,
        "compute_capability": f"{found['major']}.{found['minor']}",
        "multiprocessors": found["multiProcessorCount"],
        "memory_gigabytes": round(found["totalGlobalMem"] / 1e9, 1),
        "driver": runtime.driverGetVersion(),
        "runtime": runtime.runtimeGetVersion(),
    }


def versions() -> dict[str, str]:
    """Return the versions of what takes part, imported or not."""
    found = {"cupy": str(importlib.import_module("cupy").__version__)}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def described() -> dict[str, Any]:
    """Return the machine with its GPU."""
    return {**machine(), "versions": versions(), "gpu": graphics()}


def on(device: str) -> dict[str, Any]:
    """Return what the results of a device say of the machine; on the host `write` says it."""
    return {} if on_host(device) else {"machine": described()}


def host(value: Any) -> np.ndarray[Any, Any]:
    """Return an array of any library as NumPy's, in float64."""
    if hasattr(value, "detach"):  # torch
        value = value.detach().double().cpu().numpy()
    elif callable(getattr(value, "get", None)):  # CuPy
        value = value.get()
    return np.asarray(value).astype("float64")


def wait() -> None:
    """Wait until the GPU is idle, for the work of every library in this process."""
    importlib.import_module("cupy").cuda.runtime.deviceSynchronize()


def release() -> None:
    """Give back the GPU's memory that the pools of CuPy and torch hold without using it."""
    if torch := sys.modules.get("torch"):
        torch.cuda.empty_cache()
    importlib.import_module("cupy").get_default_memory_pool().free_all_blocks()
