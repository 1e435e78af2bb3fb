"""Sum up the findings of the parts of `make gpu`, in a line each. Below `gpu.py`."""

from collections.abc import Iterator
from typing import Any

HEAD = {"key", "finished", "commit", "machine", "seconds"}  # of a part that has found nothing yet


def verdict(found: dict[str, Any]) -> str:
    """Return the figures of a part, and that it is not finished or was not run."""
    if set(found) <= HEAD:
        return "not run"
    told = "; ".join([*_step(found), *_tests(found), *_tools(found), *_groups(found)])
    return told if found["finished"] else f"not finished; {told}"


def right(found: dict[str, Any]) -> bool:
    """Return True if a part is finished and nothing in it has failed."""
    tools = found.get("tools", {}).values()
    return bool(
        found["finished"]
        and found.get("step", {"right": True})["right"]
        and not found.get("not_passed")
        and all(run.get("errors") == 0 and run["status"] == 0 for run in tools)
        and not any(group["failed"] for group in found.get("groups", {}).values())
    )


def _step(found: dict[str, Any]) -> Iterator[str]:
    if "step" in found:
        step = found["step"]
        yield f"one step {'right' if step['right'] else 'WRONG'}"
        yield step.get("failed") or f"error {step['error']:.1e}, {step['executor']}"


def _tests(found: dict[str, Any]) -> Iterator[str]:
    for outcome, number in sorted(found.get("counts", {}).items()):
        yield f"{number} {outcome}"


def _tools(found: dict[str, Any]) -> Iterator[str]:
    for tool, run in found.get("tools", {}).items():
        errors = "no summary" if run.get("errors") is None else f"{run['errors']} errors"
        wrong = sum(not one["right"] for one in run.get("runs", ()))
        yield f"{tool}: {run.get('not_run') or errors}" + f", {wrong} runs wrong" * bool(wrong)


def _groups(found: dict[str, Any]) -> Iterator[str]:
    for precision, group in found.get("groups", {}).items():
        ratios = "no ratios"
        if group["geometric_mean"]:
            ratios = f"best peer / bptt {group['geometric_mean']:.2f}, worst {group['worst']:.2f}"
        yield f"{precision}: {group['lines']} lines, {group['failed']} failed, {ratios}"
