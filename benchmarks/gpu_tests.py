"""Plug into pytest for `make gpu`: write every outcome down at once, and leave out those of an
earlier run. A run that is ended at its limit loses nothing, and the next one goes on.

A worker on which a test has failed asks the device to answer; if it does not, the worker ends, as
all its later tests would fail with the same error. pytest-xdist starts another one; without it
`gpu_test_part.py` does.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

STATUS_LOST = 70


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the files of outcomes and of tests to leave out."""
    parser.addoption("--outcomes", help="a file that gets a line of JSON for each outcome")
    parser.addoption("--leave-out", help="a file with the names of tests that are not run again")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that an earlier run has finished."""
    if not config.getoption("--leave-out"):
        return
    done = set(json.loads(Path(config.getoption("--leave-out")).read_text(encoding="utf-8")))
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in done])
    items[:] = [item for item in items if item.nodeid not in done]


def pytest_configure(config: pytest.Config) -> None:
    """Write outcomes in the process that has them all; watch the device where tests run."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Outcomes(Path(config.getoption("--outcomes"))))
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        config.pluginmanager.register(Watch())


class Outcomes:
    """Append a line for each test that begins or ends, and for each file that is not read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, test: str, outcome: str, why: str = "") -> None:
        """Append a line; its file is closed each time, so that nothing waits in a buffer."""
        line = {"test": test, "outcome": outcome} | ({"why": why} if why else {})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Write that a test begins."""
        self.write(nodeid, "begun")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write what came of a test; a failure before or after it is one of it."""
        if report.failed or report.skipped or report.when == "call":
            expected = hasattr(report, "wasxfail")
            self.write(report.nodeid, "xfailed" if expected else report.outcome, reason(report))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Write which file could not be read, and why."""
        if report.failed:
            self.write(report.nodeid, "not collected", reason(report))


class Watch:
    """End this process once the device does not answer after a test that has failed."""

    def __init__(self) -> None:
        self.failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember a failure."""
        self.failed = self.failed or report.failed

    def pytest_runtest_logfinish(self) -> None:
        """Ask the device after a failure."""
        if self.failed:
            self.failed = False
            if not answers():
                os._exit(STATUS_LOST)


def answers() -> bool:
    """Return True if the device can be waited for, or if no test has asked for one."""
    cupy = sys.modules.get("cupy")
    try:
        if cupy is not None:
            cupy.cuda.runtime.deviceSynchronize()
    except Exception:
        return False
    return True


def reason(report: Any) -> str:
    """Return the first lines of what pytest says of a failure, or its reason to skip."""
    if report.passed:
        return ""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        return _short(crash.message)
    if isinstance(report.longrepr, tuple):
        return _short(report.longrepr[2])
    return _short("\n".join(str(report.longrepr).strip().splitlines()[-1:]))


def _short(message: str) -> str:
    lines = [line.strip() for line in str(message).splitlines() if line.strip()]
    return "; ".join(lines[:3])[:300]
