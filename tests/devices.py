"""Choose what `cupy` is in the tests: the real package on a machine with a GPU, else the fake.

`conftest.py` calls it before anything imports CuPy.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

FAKE = Path(__file__).parent / "fake_cupy"
PROBE = "import cupy, sys; sys.exit(0 if cupy.cuda.runtime.getDeviceCount() else 1)"


def has_gpu() -> bool:
    """Return whether the real CuPy is installed and finds a device.

    Another process asks, since a package that was imported once cannot be taken out again.
    """
    if importlib.util.find_spec("cupy") is None:
        return False
    asked = subprocess.run([sys.executable, "-c", PROBE], capture_output=True)
    return asked.returncode == 0


def choose_cupy() -> None:
    """Put the fake first on the path of this process where there is no GPU."""
    if str(FAKE) not in sys.path and not has_gpu():
        sys.path.insert(0, str(FAKE))
