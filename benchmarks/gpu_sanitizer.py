"""Run compute-sanitizer over short runs of every cell, as a part of `make gpu`."""

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks import gpu_record
from benchmarks.gpu_processes import Ended, module, ran, tail

TOOLS = ("memcheck", "racecheck", "synccheck")
SUMMARY = re.compile(r"^=+ (?:ERROR|RACECHECK) SUMMARY: (\d+) (?:error|hazard).*$", re.MULTILINE)
REPORTS = 40  # lines of what a tool has found that are kept


def run(path: Path, key: dict[str, Any], seconds: float) -> None:
    """Run every tool that has not come to its end yet; each one's findings are written at once."""
    result = gpu_record.earlier(path, key)
    result.setdefault("tools", {})
    result["what"] = "compute-sanitizer over forward and backward passes of every cell"
    sanitizer = shutil.which("compute-sanitizer")
    ends = time.monotonic() + seconds
    for number, tool in enumerate(TOOLS):
        if result["tools"].get(tool, {}).get("ended"):
            continue
        limit = (ends - time.monotonic()) / (len(TOOLS) - number)
        if sanitizer is None:
            result["tools"][tool] = {"ended": True, "not_run": "there is no compute-sanitizer"}
        elif limit > 0:
            command = [sanitizer, "--tool", tool, "--error-exitcode", "9",
                       *module("benchmarks.gpu_small_runs")]  # fmt: skip
            result["tools"][tool] = findings(ran(command, limit))
        gpu_record.save(path, result)
    result["finished"] = all(result["tools"].get(tool, {}).get("ended") for tool in TOOLS)
    gpu_record.save(path, result)


def findings(run: Ended) -> dict[str, Any]:
    """Return what a tool has found: the number of errors, None where it did not come to say it.

    `runs` is what the program under it tells: their executors say which kernels ran.
    """
    summary = SUMMARY.findall(run.output)
    reports = [line for line in run.output.splitlines() if line.startswith("=====")]
    runs = [json.loads(line) for line in run.output.splitlines() if line.startswith('{"cell"')]
    return {
        "ended": run.status is not None,
        "status": run.status,
        "errors": int(summary[-1]) if summary else None,
        "runs": runs,
        "reports": reports[:REPORTS],
        "output": "" if run.status == 0 else tail(run.output),
    }
