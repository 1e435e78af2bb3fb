"""Tabulate the benchmark of pictures. Below `tables.py`, which puts it into the docs."""

from typing import Any


def _head(*names: str) -> list[str]:
    return [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]


def pictures(result: dict[str, Any]) -> list[str]:
    """Tabulate every library's pictures of one LSTM: seconds, and what is found in the files."""
    rows = _head("steps", "library", "boxes are", "file", "seconds", "times ours", "boxes", "edges",
                 "backward edges", "kB", "norms in it", "steps in order")  # fmt: skip
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
                f"| {_of('norms', line, steps)} | {_of('in_order', line, steps)} |"
            )
        if found["not_installed"]:
            rows.append(f"| {steps} | not installed: {', '.join(found['not_installed'])} |")
    return rows


def _of(name: str, line: dict[str, Any], steps: str) -> str:
    """Return how many of all steps; nothing where it was not looked for."""
    return f"{line[name]} of {steps}" if line.get(name) is not None else ""


def large_pictures(result: dict[str, Any]) -> list[str]:
    """Return seconds and sizes of ours with many boxes, and the frames of their pages."""
    rows = _head("boxes are", "boxes", "wires", "gradients", "graph, s", "norms, s",
                 "layout and SVG, s", "again, s", "from the loss, s", "SVG, MB", "page, s",
                 "page, MB", "peak, MB", "ms a frame at full size, a fifth, whole")  # fmt: skip
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
        return [*rows, "", f"Frames: not run, {result['frames']['not_run']}."]
    said = f"Frames in {result['frames']['browser']} without a GPU: the median of 60 and, after the"
    return [*rows, "", f"{said} stroke, the slowest twentieth; 16.7 is the least there is."]


def _frames(page: dict[str, Any] | None) -> str:
    if page is None:
        return "not run"
    return ", ".join(f"{page[zoom]['median']:.1f} / {page[zoom]['slowest_twentieth']:.1f}"
                     for zoom in ("full", "fifth", "whole"))  # fmt: skip


def million_ops(result: dict[str, Any]) -> list[str]:
    """Tabulate a graph of very many ops drawn with most steps left out, and the other formats."""
    rows = _head("ops", "boxes are", "record, s", "draw, s", "SVG, s", "boxes", "wires", "SVG, kB",
                 "peak recorded, MB", "peak drawn, MB", "the picture says")  # fmt: skip
    for line in result["million"]:
        taken, peak = line["seconds"], line["peak_megabytes"]
        recorded, drawn = (f"{peak[when]:,.0f}" if peak[when] else ""
                           for when in ("recorded", "drawn"))  # fmt: skip
        rows.append(
            f"| {line['nodes']:,} | {line['level']}s | {taken['record']:.2f} "
            f"| {taken['draw']:.2f} | {taken['svg']:.3f} | {line['boxes']:,} | {line['wires']:,} "
            f"| {line['svg_bytes'] / 1e3:,.0f} | {recorded} | {drawn} "
            f"| {'; '.join(line['notes'])} |"
        )
    said = "; ".join(f"{line['format'].upper()} by {line['by']} {line['seconds']:.2f} s, "
                     f"{line['bytes'] / 1e3:,.0f} kB" for line in result["files"])  # fmt: skip
    boxes = result["files"][0]["boxes"]
    return [*rows, "", f"One picture of {boxes} boxes in other formats: {said}."]
