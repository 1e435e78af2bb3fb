"""Say what runs on this machine: versions, compiler, cache, threads, GPU, and each executor.

Every executor of recurrences runs one small LSTM, forward and backward, and is held against the
loop; so the one that compiles has compiled a kernel. Below `running.py`.
"""

import argparse
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import engine
from engine.backends import by_device
from engine.scan.c.compiler import CannotCompileError, cache_folder, compiled, compiler
from engine.scan.c.division import cores
from rnn.command.saying import say
from rnn.layers.pytorch import LSTM
from rnn.shadowed import shadowing

NEEDED = ("numpy", "networkx", "graphviz", "safetensors", "tqdm", "matplotlib")
OPTIONAL = {
    "h5py": "files of Keras", "ml_dtypes": "bfloat16 on the host", "onnx": "files of ONNX",
    "onnxruntime": "running those", "sacrebleu": "BLEU", "tensorboardX": "logs for TensorBoard",
    "tokenizers": "tokens of words in parts", "ziglang": "a C compiler",
}  # fmt: skip
CUPY = ("cupy-cuda13x", "cupy-cuda12x", "cupy")
NEAR = 1e-4  # of float32 sums in another order, relative to 1


def doctor(options: argparse.Namespace) -> int:
    """Print it. Returns 1 where something that is there does not work, 0 otherwise."""
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    say(f"bptt {engine.__version__}, Python {platform.python_version()}, {system}")
    say(f"engine: {Path(engine.__file__).parent}")
    shadows = shadowing(Path.cwd())
    for path in shadows:
        say(f"{path.stem}: WRONG for scripts in this folder, which import {path} in the place of "
            "the package; give it another name")  # fmt: skip
    for name in NEEDED:
        say(f"{name}: {_version(name) or 'not installed'}")
    for name, use in OPTIONAL.items():
        say(f"{name}: {_version(name) or f'not installed; for {use}'}")
    sound, missing, told = _compiler()
    say(f"compiler: {told}")
    say(f"cache: {_cache()}")
    say(f"threads: {engine.get_num_threads()} of {cores()} processors")
    devices, told = _gpu()
    say(f"GPU: {told}")
    say("executors, each on a step of training an LSTM (T 8, B 2, I 3, H 4):")
    good = [not shadows, sound, _executor("explicit", "numpy", ""), _executor("plan", "numpy", "")]
    good.append(_executor("c", "numpy", missing))
    good.append(_executor("cuda", "cupy", "" if devices else "there is no GPU"))
    say("all that is there works" if all(good) else "something does not work; see above")
    return 0 if all(good) else 1


def _version(package: str) -> str:
    """Return the version of an installed package, empty where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _compiler() -> tuple[bool, str, str]:
    """Return whether a compiler works or is missing, whether it is missing, and what to print."""
    try:
        command, said = compiler()
        began = time.perf_counter()
        with TemporaryDirectory() as folder, environment("XDG_CACHE_HOME", folder):
            compiled(f"long long told(void) {{ return {time.time_ns()}; }}", "float")
        seconds = time.perf_counter() - began
        return True, "", f"{' '.join(command)} ({said}); compiles in {seconds:.2f} s"
    except CannotCompileError as error:
        if "there is no C compiler" in str(error):
            return True, "there is no compiler", f"none, so recurrences run by NumPy: {error}"
        return False, "", f"does not work: {' '.join(str(error).split())}"


def _cache() -> str:
    folder = cache_folder()
    if folder is None:
        return "none: no folder can be written that is the user's alone; kernels live for a process"
    files = [path.stat().st_size for path in folder.glob("*.so")]
    return f"{folder}, {len(files)} kernels, {sum(files) / 1e6:.1f} MB"


def _gpu() -> tuple[list[str], str]:
    """Return the CUDA devices, and which CuPy sees them or why there are none."""
    if find_spec("cupy") is None:
        return [], "none: CuPy is not installed; in the clone, pip install '.[cuda13]' brings it"
    try:
        engine.device("cupy")
        devices = by_device("cupy").devices()
    except Exception as error:  # of a driver, a library or CuPy, each with exceptions of its own
        return [], f"none: {' '.join(str(error).split()) or type(error).__name__}"
    own = next((f"{name} {found}" for name in CUPY if (found := _version(name))), "CuPy")
    return devices, f"{', '.join(devices)} by {own}"


def _executor(name: str, device: str, missing: str) -> bool:
    """Print whether an executor runs here and agrees with the loop; False where it fails."""
    if missing:
        say(f"  {name}: does not run here: {missing}")
        return True
    began = time.perf_counter()
    try:
        found, told = _trained(name, device)
    except Exception as error:  # of any kind: it is told
        say(f"  {name}: fails: {type(error).__name__}: {' '.join(str(error).split())}")
        return False
    seconds = time.perf_counter() - began
    if f"{name}: runs it" not in told:
        say(f"  {name}: is refused: {told.partition(chr(10))[0]}")
        return False
    right = _trained("explicit", "numpy")[0]
    far = [abs(x - y) / max(1.0, abs(y)) for x, y in zip(found, right, strict=True)]
    good = all(one <= NEAR for one in far)  # a NaN is not
    say(f"  {name}: {'runs' if good else 'WRONG'}, {seconds:.2f} s with what it compiles or "
        f"records; farthest from the loop {max(far):.1g}")  # fmt: skip
    return good


def _trained(name: str, device: str) -> tuple[list[float], str]:
    """Return an output and the norms of gradients of one step, and how `explain_scan` tells it."""
    with environment("BPTT_EXECUTORS", name):
        engine.seed(0)
        net = LSTM(3, 4).to(device)
        x = engine.reshape(engine.linspace(-1.0, 1.0, 48), (8, 2, 3))
        x = engine.to(x, device)
        loss = engine.sum(net(x)[0] ** 2)
        grads = engine.gradients(loss, net.parameters())
        norms = [engine.sum(g * g).item() for g in grads if g is not None]
        return [float(loss.item()), *map(float, norms)], engine.explain_scan(net, x)


@contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Give a variable of the environment a value, inside."""
    old = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if old is None:
            del os.environ[name]
        else:
            os.environ[name] = old
