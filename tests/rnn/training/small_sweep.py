"""Run a sweep in other processes for tests, by import or as a script: see `main`.

`python -m tests.rnn.training.small_sweep FILE`, or under mpiexec with `mpi4py.futures`, writes a
sweep of `train` to FILE. Below the tests.
"""

import os
import signal
import sys
import time
from pathlib import Path

import engine
import rnn
from rnn import sweeps
from rnn.sweeps import running

SPACE = {
    "cell": ["GRUCell", "ElmanCell"],
    "optimizer": {"lr": sweeps.log_uniform(1e-3, 1e-1)},
    "hidden": sweeps.integers(2, 5),
    "steps": 3,
}
SAMPLES = 3


def train(config):
    """Train with weights, data and masks that are drawn; one setting raises."""
    if config["cell"] == "ElmanCell" and config["hidden"] == 2:
        raise ValueError("too small")
    engine.set_num_threads(1)
    net = rnn.Recurrent(getattr(rnn, config["cell"])(2, config["hidden"]))
    optimizer = rnn.optim.Adam(net.parameters(), lr=config["optimizer"]["lr"])
    x = engine.random.normal((4, 3, 2), 1.0)
    config["hidden"] = None  # what a function does to its settings is its own affair
    for _ in range(config["steps"]):
        loss = engine.mean(engine.dropout(net(x)[0], 0.3) ** 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        time.sleep(0.01)  # so that trials in threads take turns
    return {"loss": loss, "first": net.parameters()[0][0, 0].item()}


def fitted(config):
    """Train by `fit` for a while; tell how many steps there were."""
    running.GRACE = 1.0  # a test waits so long for a worker that goes on alone
    net = rnn.Linear(2, 1)
    Path(config["folder"], f"{os.getpid()}.started").touch()
    history = rnn.fit(
        net, [engine.ones((1, 2))], lambda net, x: (time.sleep(0.02), engine.mean(net(x) ** 2))[1],
        steps=config["steps"], progress=False,
    )  # fmt: skip
    return {"steps": len(history.steps)}


def dies(config):
    """End the process that runs one of the trials."""
    if config["x"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return config["x"]


def main():
    """Run a sweep as the arguments say: FILE, or FILE FOLDER for trials that take a while."""
    path, *folder = sys.argv[1:]
    if folder:
        space = {"folder": folder[0], "steps": [1, 2, 1000]}
        found = rnn.sweep(fitted, space, workers=2, path=path, resume=True)
        print("interrupted", found.interrupted)
    elif "mpi4py" in sys.modules:
        from mpi4py.futures import MPIPoolExecutor

        with MPIPoolExecutor() as executor:
            rnn.sweep(train, SPACE, samples=SAMPLES, executor=executor, path=path)
    else:
        rnn.sweep(train, SPACE, samples=SAMPLES, workers=2, path=path)


if __name__ == "__main__":
    main()
