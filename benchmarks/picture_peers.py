"""Draw graphs of torch models for the benchmark of pictures: torchviz, torchview, torchlens.

The network is the LSTM of `cells.py` in torch's functions, its step a module of its own, which is
what torchview and torchlens group by. DOT becomes SVG by the `dot` of Graphviz. Below
`pictures.py`.
"""

import importlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks import cells

LIMIT = 60.0  # seconds that Graphviz has for the layout of a graph
Job = Callable[[], Path]
Key = tuple[str, str, str]  # library, level, format


class Cell(torch.nn.Module):
    """Compute one step of an LSTM."""

    def __init__(self, given: dict[str, Any], dtype: torch.dtype) -> None:
        super().__init__()
        for name in cells.sizes("lstm", 1, 1):
            weight = torch.nn.Parameter(torch.tensor(given[name], dtype=dtype))
            self.register_parameter(name, weight)

    def forward(self, x: Any, h: Any, c: Any) -> Any:
        linear = torch.nn.functional.linear  # looked up here: torchlens wraps what torch holds
        a = linear(x, self.W, self.b) + linear(h, self.U, self.d)
        a_i, a_f, a_g, a_o = a.chunk(4, -1)
        c = torch.sigmoid(a_f) * c + torch.sigmoid(a_i) * torch.tanh(a_g)
        return torch.sigmoid(a_o) * torch.tanh(c), c


class Network(torch.nn.Module):
    """Run the LSTM over all steps; the loss is the sum of the squares of the last h."""

    def __init__(self, given: dict[str, Any], dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.cell = Cell(given, dtype)
        self.start = [torch.tensor(given[name], dtype=dtype) for name in ("h0", "c0")]
        self.states: list[Any] = []

    def forward(self, x: Any) -> Any:
        h, c = self.start
        self.states = []
        for x_t in x:
            h, c = self.cell(x_t, h, c)
            self.states.append(h)
        return (h * h).sum()


def exact(given: dict[str, Any]) -> tuple[float, list[float]]:
    """Return the loss, and the norm of its gradient at the h of every step, in float64."""
    network = Network(given, torch.float64)
    loss = network(torch.tensor(given["x"], dtype=torch.float64))
    grads = torch.autograd.grad(loss, network.states)
    return loss.item(), [grad.norm().item() for grad in grads]


def jobs(given: dict[str, Any], folder: Path) -> tuple[dict[Key, Job], list[str]]:
    """Return a job for each library and file, from the model and its input to that file.

    Also returns the names of those that are not installed.
    """
    network, x = Network(given), torch.tensor(given["x"])
    found: dict[Key, Job] = {}
    missing = []
    for name, make in (("torchviz", _torchviz), ("torchview", _torchview),
                       ("torchlens", _torchlens)):  # fmt: skip
        try:
            found |= make(importlib.import_module(name), network, x, folder)
        except ImportError:
            missing.append(name)
    if shutil.which("dot") is None:
        missing.append("dot")
        found = {key: job for key, job in found.items() if key[2] == "dot"}
    return found, missing


def prepare(key: Key) -> None:
    """Let torch's functions be wrapped for torchlens, which needs that, and for no other."""
    try:
        wrappers = importlib.import_module("torchlens.backends.torch.wrappers")
    except ImportError:
        return
    (wrappers.wrap_torch if key[0].startswith("torchlens") else wrappers.unwrap_torch)()


def _torchviz(torchviz: Any, network: Network, x: Any, folder: Path) -> dict[Key, Job]:
    names = dict(network.named_parameters())
    return _written("torchviz", "op", folder,
                    lambda: torchviz.make_dot(network(x), params=names).source)  # fmt: skip


def _torchview(torchview: Any, network: Network, x: Any, folder: Path) -> dict[Key, Job]:
    def source(**options: Any) -> str:
        found = torchview.draw_graph(network, input_data=x, mode="train", device="cpu", **options)
        return str(found.visual_graph.source)

    by_op = _written("torchview", "op", folder, lambda: source(hide_module_functions=False))
    return _written("torchview", "cell", folder, source) | by_op


def _torchlens(torchlens: Any, network: Network, x: Any, folder: Path) -> dict[Key, Job]:
    """Return jobs of torchlens: as it draws by itself, and with gradients and steps on."""

    def plain(depth: int) -> Job:
        return lambda: drawn(torchlens.trace(network, x), f"lens{depth}", vis_call_depth=depth)

    def dressed() -> Path:
        saving = torchlens.options.CaptureOptions(save_grads=True)
        trace = torchlens.trace(network, x, capture=saving)
        trace.log_backward(trace[trace.output_layers[0]].out)
        return drawn(trace, "dressed", color_by="grad_norm", node_overlay="grad_norm",
                     stack_by=_step, direction="leftright", show_legend=True)  # fmt: skip

    def drawn(trace: Any, name: str, **options: Any) -> Path:
        path = folder / f"{name}.svg"
        trace.draw(vis_save_only=True, vis_fileformat="svg", vis_outpath=str(path.with_suffix("")),
                   **options)  # fmt: skip
        return path

    return {("torchlens", "cell", "svg"): plain(1), ("torchlens", "op", "svg"): plain(1000),
            ("torchlens, norms and steps on", "op", "svg"): dressed}  # fmt: skip


def _step(op: Any) -> int | None:
    """Return the step of an op, which is the number of the call of the cell that it belongs to."""
    calls = [str(call) for call in getattr(op, "modules", ())]
    return next((int(call.rpartition(":")[2]) for call in calls if ":" in call), None)


def _written(name: str, level: str, folder: Path, source: Callable[[], str]) -> dict[Key, Job]:
    """Return the jobs that write DOT, and the SVG that `dot` makes of it."""
    path = folder / f"{name}_{level}.dot"

    def as_dot() -> Path:
        path.write_text(source(), encoding="utf-8")
        return path

    def as_svg() -> Path:
        picture = path.with_suffix(".svg")
        command = ["dot", "-Tsvg", "-o", os.fspath(picture), os.fspath(as_dot())]
        subprocess.run(command, check=True, timeout=LIMIT, capture_output=True)
        return picture

    return {(name, level, "dot"): as_dot, (name, level, "svg"): as_svg}
