"""Write the tables of scaling over ranks. Below `tables.py`."""

from typing import Any

from benchmarks.scaling_model import ALGORITHMS, fitted

PARTS = ("compute", "all-reduce", "agreement", "maps", "waiting", "input")


def network(result: dict[str, Any]) -> list[str]:
    """Return the times of all-reduces by bytes, and the latency and bandwidth that fit them."""
    own = result["ranks"]
    rows = [f"| bytes | {' | '.join(f'{ranks_of(result, n)}, µs' for n in own)} |",
            "|---" * (1 + len(own)) + "|"]  # fmt: skip
    for lines in zip(*(one["sums"] for one in own.values()), strict=True):
        cells = " | ".join(f"{line['seconds'] * 1e6:,.0f}" for line in lines)
        rows.append(f"| {lines[0]['bytes']:,} | {cells} |")
    rows += ["", "| ranks | as a | latency, µs | bandwidth, GB/s | median error of the fit |",
             "|---|---|---|---|---|"]  # fmt: skip
    for ranks, one in own.items():
        for name in ALGORITHMS:
            found = fitted(one["sums"], int(ranks), name)
            rows.append(f"| {ranks_of(result, ranks)} | {name} | {found['latency'] * 1e6:,.1f} "
                        f"| {found['bandwidth'] / 1e9:.2f} "
                        f"| {found['median_relative_error']:.0%} |")  # fmt: skip
    return rows


def maps(result: dict[str, Any]) -> list[str]:
    """Return the times of two ways to scan the maps of stretches over ranks."""
    own = result["ranks"]
    head = "".join(f" {ranks_of(result, n)}: {way}, µs |"
                   for n, one in own.items() for way in one["maps"][0]["seconds"])  # fmt: skip
    rows = [f"| B, H |{head}", "|---" * (1 + head.count("|")) + "|"]
    for lines in zip(*(one["maps"] for one in own.values()), strict=True):
        cells = "".join(f" {seconds * 1e6:,.0f} |"
                        for line in lines for seconds in line["seconds"].values())  # fmt: skip
        rows.append(f"| {lines[0]['B']}, {lines[0]['H']} |{cells}")
    return rows


def fit(result: dict[str, Any]) -> list[str]:
    """Return the steps of training by ranks and rows."""
    return _lines(result, "B")


def scan(result: dict[str, Any]) -> list[str]:
    """Return the passes over time by ranks and steps, of a scan or of a layer."""
    return _lines(result, "T")


def _lines(result: dict[str, Any], size: str) -> list[str]:
    """Return a row a line: its time, against one rank with all and with one share, its parts."""
    lines = result["rows"]
    parts = [name for name in PARTS if any(name in line["milliseconds"] for line in lines)]
    alone = {line[size]: line["seconds"] for line in lines if line["ranks"] == 1}
    rows = [
        f"| ranks | {size} of all | ms | speed-up | one rank with its share / ms "
        f"| {', ms | '.join(parts)}, ms |",
        "|---" * (5 + len(parts)) + "|",
    ]
    for line in lines:
        seconds, ranks = line["seconds"], line["ranks"]
        whole, share = alone.get(line[size]), alone.get(line[size] // ranks)
        cells = " | ".join(
            f"{line['milliseconds'][name]:.2f}" if name in line["milliseconds"] else ""
            for name in parts
        )
        rows.append(
            f"| {ranks_of(result, ranks)} | {line[size]} | {seconds * 1e3:.1f} "
            f"| {f'{whole / seconds:.2f}' if whole and ranks > 1 else ''} "
            f"| {f'{share / seconds:.2f}' if share and ranks > 1 else ''} | {cells} |"
        )
    return rows


def ranks_of(result: dict[str, Any], ranks: int | str) -> str:
    """Return the number of ranks, and where they take turns on fewer cores that they do."""
    cores = result["machine"]["cores"]
    turns = f" (in turn on {cores} cores)" if int(ranks) > cores else ""
    return f"{ranks} rank{'s' * (int(ranks) > 1)}{turns}"
