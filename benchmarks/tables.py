"""Writes the tables in the README and the docs from the files in `results/`.

A table stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``; run `python -m benchmarks.tables`.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measuring import RESULTS
from benchmarks.plots import plot_ratios

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


def recurrence(result: dict[str, Any]) -> list[str]:
    """The ratio of every cell and shape, and the milliseconds of ours and of the best peer."""
    rows = ["| cell | T, B, I, H | threads | bptt, ms | best peer, ms | | best peer / bptt |",
            "|---|---|---|---|---|---|---|"]  # fmt: skip
    for line in result["rows"]:
        peer = line["best_peer"]
        rows.append(
            f"| {line['cell'].replace('_', ' ')} | {', '.join(map(str, line['shape']))} "
            f"| {line['threads']} | {line['milliseconds']['bptt']:.2f} "
            f"| {line['milliseconds'][peer]:.2f} | {peer} | {line['ratio']:.2f} |"
        )
    return rows


def executors(result: dict[str, Any]) -> list[str]:
    """The three executors on every cell and shape."""
    rows = [
        "| cell | T, B, I, H | explicit, ms | plan, ms | c, ms | explicit / plan | explicit / c |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in result["rows"]:
        explicit, plan, c = (line["milliseconds"][name] for name in ("explicit", "plan", "c"))
        rows.append(
            f"| {line['cell']} | {', '.join(map(str, line['shape']))} | {explicit:.1f} "
            f"| {plan:.1f} | {c:.1f} | {explicit / plan:.2f} | {explicit / c:.2f} |"
        )
    job = result["main_job"]
    slow, fast = (job[f"{name}_milliseconds_per_update"] for name in ("explicit", "c"))
    rows += ["", f"An update of the main job: {slow:.1f} ms explicit, {fast:.1f} ms compiled "
             f"({slow / fast:.1f} times). The first step of a cell in a new process, in seconds: "
             + "; ".join(f"{name} {taken['made']:.2f} with its kernels to compile, "
                         f"{taken['found']:.3f} with them in the cache"
                         for name, taken in result["compiling"].items()) + "."]  # fmt: skip
    return rows


def recurrence_groups(result: dict[str, Any]) -> list[str]:
    """The geometric mean, the worst ratio and the losses of each group of cells."""
    rows = ["| cells | lines | geometric mean of best peer / bptt | worst | lines under 1 |",
            "|---|---|---|---|---|"]  # fmt: skip
    for name, group in result["groups"].items():
        rows.append(
            f"| {name} | {group['lines']} | {group['geometric_mean']:.2f} | {group['worst']:.2f} "
            f"| {group['losses']} |"
        )
    return rows


def pictures(result: dict[str, Any]) -> list[str]:
    """Every library's pictures of one LSTM: seconds, and what is found in the files."""
    rows = ["| steps | library | boxes are | file | seconds | times ours | boxes | edges "
            "| backward edges | kB | norms in it | steps in order |", "|---" * 12 + "|"]  # fmt: skip
    for steps, found in result["peers"].items():
        own = {(line["level"], line["format"]): line["seconds"] for line in found["rows"]
               if line["library"] == "bptt"}  # fmt: skip
        for line in found["rows"]:
            first = f"| {steps} | {line['library']} | {line['level']}s | {line['format'].upper()} |"
            if "seconds" not in line:
                why = f"over {line['over']:.0f}" if "over" in line else line["failed"]
                rows.append(f"{first} {why} |" + " |" * 7)
                continue
            ratio = line["seconds"] / own[line["level"], line["format"]]
            rows.append(
                f"{first} {line['seconds']:.3f} | {ratio:.1f} | {line['nodes']:,} "
                f"| {line['edges']:,} | {line['backward_edges']:,} | {line['bytes'] / 1e3:,.0f} "
                f"| {line['norms']} of {steps} | {_placed(line, steps)} |"
            )
        if found["not_installed"]:
            rows.append(f"| {steps} | not installed: {', '.join(found['not_installed'])} |")
    return rows


def _placed(line: dict[str, Any], steps: str) -> str:
    """How many steps stand in order; DOT of others says nothing of places."""
    return "" if line["format"] == "dot" else f"{line['in_order']} of {steps}"


def large_pictures(result: dict[str, Any]) -> list[str]:
    """Seconds and sizes of ours with many boxes, and the frames of their pages."""
    rows = ["| boxes are | boxes | wires | gradients | graph, s | norms, s | layout and SVG, s "
            "| again, s | from the loss, s | SVG, MB | page, s | page, MB | peak, MB "
            "| ms a frame at full size, a fifth, whole |", "|---" * 14 + "|"]  # fmt: skip
    pages = result["frames"].get("pages", {})
    for line in result["large"]:
        taken = line["seconds"]
        norms = f"{taken['norms']:.3f}" if "norms" in taken else ""
        peak = line["peak_megabytes"]
        rows.append(
            f"| {line['level']}s | {line['boxes']:,} | {line['wires']:,} "
            f"| {'yes' if line['measured'] == 'gradients' else 'no'} | {taken['graph']:.3f} "
            f"| {norms} | {taken['picture'] + taken['svg']:.3f} "
            f"| {taken['picture_and_svg_again']:.3f} | {taken['from_the_loss']:.3f} "
            f"| {line['svg_bytes'] / 1e6:.1f} | {taken['page']:.3f} "
            f"| {line['page_bytes'] / 1e6:.1f} | {f'{peak:,.0f}' if peak else ''} "
            f"| {_frames(pages.get(line['page']))} |"
        )
    if "not_run" in result["frames"]:
        rows += ["", f"Frames: not run, {result['frames']['not_run']}."]
    else:
        rows += ["", f"Frames in {result['frames']['browser']} without a GPU: the median of 60 and, "
                 "after the stroke, the slowest twentieth; 16.7 is the least there is."]  # fmt: skip
    return rows


def _frames(page: dict[str, Any] | None) -> str:
    if page is None:
        return "not run"
    return ", ".join(f"{page[zoom]['median']:.1f} / {page[zoom]['slowest_twentieth']:.1f}"
                     for zoom in ("full", "fifth", "whole"))  # fmt: skip


def million_ops(result: dict[str, Any]) -> list[str]:
    """A graph of very many ops drawn with most steps left out, and the other formats."""
    rows = ["| ops | boxes are | record, s | draw, s | SVG, s | boxes | wires | SVG, kB "
            "| peak recorded, MB | peak drawn, MB | the picture says |", "|---" * 11 + "|"]  # fmt: skip
    for line in result["million"]:
        taken, peak = line["seconds"], line["peak_megabytes"]
        recorded, drawn = (f"{peak[when]:,.0f}" if peak[when] else ""
                           for when in ("recorded", "drawn"))  # fmt: skip
        rows.append(
            f"| {line['nodes']:,} | {line['level']}s | {taken['record']:.2f} "
            f"| {taken['draw']:.2f} | {taken['svg']:.3f} | {line['boxes']:,} | {line['wires']:,} "
            f"| {line['svg_bytes'] / 1e3:,.0f} | {recorded} | {drawn} | {'; '.join(line['notes'])} |"
        )
    said = "; ".join(f"{line['format'].upper()} by {line['by']} {line['seconds']:.2f} s, "
                     f"{line['bytes'] / 1e3:,.0f} kB" for line in result["files"])  # fmt: skip
    boxes = result["files"][0]["boxes"]
    return [*rows, "", f"One picture of {boxes} boxes in other formats: {said}."]


# A table by its name in the pages: the file of results that it is made of, and its rows.
TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "eager": ("eager", eager),
    "char_rnn": ("char_rnn", char_rnn),
    "recurrence": ("recurrence", recurrence),
    "executors": ("executors", executors),
    "recurrence_groups": ("recurrence", recurrence_groups),
    "pictures": ("pictures", pictures),
    "large_pictures": ("pictures", large_pictures),
    "million_ops": ("pictures", million_ops),
}


def table(name: str) -> str:
    """A table with the line that says what was measured on what; how to make one not yet there."""
    source, rows = TABLES[name]
    path = RESULTS / f"{source}.json"
    if not path.exists():
        return f"Not run yet: `python -m benchmarks.{source}`."
    result = json.loads(path.read_text(encoding="utf-8"))
    on = result["machine"]
    versions = ", ".join(f"{package} {version}" for package, version in on["versions"].items())
    where = f"{on['processor']}, {on['cores']} cores, Python {on['python']}, {versions}"
    return "\n".join([*rows(result), "", f"{result['what']}; {where}."])


def filled(page: str) -> str:
    """The page with all of its tables written anew."""
    for name in TABLES:
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        page = pattern.sub(lambda found, name=name: f"{found[1]}{table(name)}\n{found[2]}", page)
    return page


def main() -> None:
    plot_ratios(json.loads((RESULTS / "recurrence.json").read_text(encoding="utf-8")))
    for page in PAGES:
        path = ROOT / page
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
