"""Writes the tables in the README and the docs from the files in `results/`.

A table stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``; run `python -m benchmarks.tables`.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measuring import RESULTS

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "docs/benchmarks.md")


def eager(result: dict[str, Any]) -> list[str]:
    """Microseconds an op of each engine, and how many times ours that is."""
    micro = result["microseconds_per_op"]
    rows = ["| engine | µs an op | times ours |", "|---|---|---|"]
    for name, value in micro.items():
        rows.append(f"| {name} | {value:.2f} | {value / micro['bptt']:.2f} |")
    return rows


def char_rnn(result: dict[str, Any]) -> list[str]:
    """The main job in one row."""
    return [
        "| updates | seconds, pictures and all | held-out bits per character "
        "| character frequencies alone |",
        "|---|---|---|---|",
        f"| {result['updates']:,} | {result['seconds']:.0f} "
        f"| {result['held_out_bits_per_character']:.2f} "
        f"| {result['character_frequencies_alone']:.2f} |",
    ]


TABLES: dict[str, Callable[[dict[str, Any]], list[str]]] = {"eager": eager, "char_rnn": char_rnn}


def table(name: str) -> str:
    """A table with the line that says what was measured on what."""
    path = RESULTS / f"{name}.json"
    result = json.loads(path.read_text(encoding="utf-8"))
    on = result["machine"]
    versions = ", ".join(f"{package} {version}" for package, version in on["versions"].items())
    where = f"{on['processor']}, {on['cores']} cores, Python {on['python']}, {versions}"
    return "\n".join([*TABLES[name](result), "", f"{result['what']}; {where}."])


def filled(page: str) -> str:
    """The page with all of its tables written anew."""
    for name in TABLES:
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        page = pattern.sub(lambda found, name=name: f"{found[1]}{table(name)}\n{found[2]}", page)
    return page


def main() -> None:
    for page in PAGES:
        path = ROOT / page
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
