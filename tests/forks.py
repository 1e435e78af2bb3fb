"""Run programs in forks of a process that has imported the packages, which takes half a second.

A crash ends its fork alone.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests import ROOT

SECONDS = 120  # that a program may take

# A fork writes into files, which cannot block.
SERVER = f"""
import importlib, json, os, signal, sys, tempfile, traceback
import numpy, engine, rnn
for name in sys.argv[1:]:
    importlib.import_module(name)
for line in sys.stdin:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if not child:
            signal.alarm({SECONDS})
            os.dup2(out.fileno(), 1)
            os.dup2(said.fileno(), 2)
            status = 1
            try:
                exec(json.loads(line), {{"__name__": "__main__"}})
                status = 0
            except SystemExit as stop:
                if isinstance(stop.code, str):
                    print(stop.code, file=sys.stderr)
                else:
                    status = stop.code or 0
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for file in (out, said):
            file.seek(0)
        print(json.dumps([status, out.read(), said.read()]), flush=True)
"""


class Done(NamedTuple):
    """Hold the end of a program: its exit status, below zero after a signal, and its output."""

    returncode: int
    stdout: str
    stderr: str


class Forks:
    """Run programs in forks of one process, which finds packages in `path`, in a `with` block.

    It has `imports` imported too, by name, where most programs need them.
    """

    def __init__(self, *path: Path, imports: tuple[str, ...] = ()) -> None:
        self._path = (ROOT, *path)
        self._imports = imports

    def __enter__(self) -> "Forks":
        found = os.pathsep.join(map(str, self._path))
        # One thread, as a fork has no others.
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVER, *self._imports], cwd=ROOT, text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": found},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        return self

    def run(self, code: str) -> Done:
        """Run a program to its end."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(code) + "\n")
        self._process.stdin.flush()
        return Done(*json.loads(self._process.stdout.readline()))

    def __exit__(self, *error: Any) -> None:
        self._process.communicate()
