"""Keep the JSON files of the parts of `make gpu`: written as soon as there is something to keep,
and read again by a later run. Below `gpu.py` and `gpu_recurrence.py`.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks import devices
from benchmarks.measuring import ROOT

SOURCE = {".py", ".c", ".h", ".cu", ".cuh"}


def source(folders: Iterable[str], root: Path = ROOT) -> str:
    """Return a digest of the source below these folders, which needs no git in the copy."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SOURCE and "__pycache__" not in path.parts:
                digest.update(path.relative_to(root).as_posix().encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def key(folders: Iterable[str]) -> dict[str, Any]:
    """Return what two runs share if one can go on where the other has stopped."""
    return {"source": source(folders), "gpu": devices.graphics()["name"],
            "versions": devices.versions()}  # fmt: skip


def earlier(path: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the result in a file if it has this key, else an empty one with it."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    if found.get("key") == wanted:
        return found
    return {"key": wanted, "finished": False}


def save(path: Path, result: dict[str, Any]) -> None:
    """Write a result in one go, so that a process that is ended leaves the one of before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".writing")
    beside.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    os.replace(beside, path)
