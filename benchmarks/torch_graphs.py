"""Capture a training step of torch as one CUDA graph: all launches once, and then repeated."""

from collections.abc import Callable
from typing import Any

import torch

Job = Callable[[], list[Any]]
WARM_UPS = 3  # before a capture, on a stream of its own, as torch's documentation asks for


def graphed(job: Job) -> Job:
    """Return a job that captures another one at its first call and replays it from then on."""
    held: list[Any] = []

    def run() -> list[Any]:
        if not held:
            held.extend(_captured(job))
        graph, grads = held
        graph.replay()
        return list(grads)

    return run


def _captured(job: Job) -> tuple[Any, list[Any]]:
    """Return the graph of a job, and the arrays into which each replay writes."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UPS):
            job()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        grads = job()
    return graph, grads
