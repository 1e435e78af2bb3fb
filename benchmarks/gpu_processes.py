"""Start the programs of `make gpu`, each with a limit, and end them with all their children."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.measuring import ROOT

TAIL = 4000  # characters of the output that are kept


class Ended(NamedTuple):
    """Hold the status of a program, None where it was ended at its limit, and its output."""

    status: int | None
    output: str


def ran(command: Sequence[str], seconds: float, env: Mapping[str, str] | None = None) -> Ended:
    """Run a program from the root of the project; end it and its children after some seconds."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
        status: int | None
        try:
            status = process.wait(timeout=max(seconds, 0.1))
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end(process)
        output.seek(0)
        return Ended(status, output.read())


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program with all that it has started, and wait for it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def module(name: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this project by the Python that runs now."""
    return [sys.executable, "-m", name, *arguments]


def tail(output: str) -> str:
    """Return the end of an output, from the beginning of a line."""
    if len(output) <= TAIL:
        return output
    return output[-TAIL:].partition("\n")[2]
