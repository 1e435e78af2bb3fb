"""Run jobs on each of the processes that train together, for tests: ``rank_jobs.py NAME ...``.

Started by ``mpiexec -n N python tests/rnn/training/rank_jobs.py NAME FOLDER [STEPS]``; of several
NAMES with commas between them each is run in turn, as a start takes longer than most.
"""

import os
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np

import engine
import rnn
from rnn import data, models
from rnn.command.language import loss as language_loss
from rnn.training import Accuracy, Callback, Metric, fit
from tests.devices import choose_cupy
from tests.rnn.training.ranks import raised, sleep_until_all_are_here

engine.set_num_threads(1)
RANKS = rnn.distributed.Communicator()
DRAWN = np.random.default_rng(0)
IDS = DRAWN.integers(0, 11, 400)
STEPS = 50


def language(distributed, steps=STEPS, hidden=5, loss=language_loss, **more):
    """Train on streams, carrying the state, with dropout between layers."""
    engine.seed(7 if distributed is None or not RANKS.rank else 99)  # rank 0 says what is drawn
    net = rnn.LanguageModel(11, 6, hidden, 2, dropout=0.3)
    own = {"validation": data.Streams(IDS[:100], batch_size=3, steps=4), "validate_every": 20}
    own |= {"optimizer": rnn.optim.Adam(net.parameters(), 0.01), "clip_norm": 1.0} | more
    text = data.Streams(IDS, batch_size=6, steps=5)
    return net, fit(net, text, loss, steps=steps, carry=True, progress=False,
                    distributed=distributed, **own)  # fmt: skip


def tagger(distributed):
    """Train on ragged batches, the last of three rows, two of which make a step."""
    engine.seed(1)
    draw = np.random.default_rng(3)
    words = [draw.integers(1, 9, n) for n in draw.integers(1, 9, 23)]
    tags = [one % 4 for one in words]
    net = models.Tagger(9, 4, embedding=5, hidden=6, dropout=0.2)
    return net, fit(
        net, data.Batches(words, tags, batch_size=5), lambda m, b: m.loss(b.x, b.lengths, b.y),
        optimizer=rnn.optim.Adam(net.parameters(), 0.01), steps=STEPS, accumulate=2,
        validation=data.Batches(words, tags, batch_size=4, shuffle=False), metrics=[Accuracy()],
        outputs=lambda m, b: (m(b.x, b.lengths), b.y, b.lengths), progress=False,
        distributed=distributed,
    )  # fmt: skip


def translator(distributed):
    """Train with attention and scheduled sampling."""
    engine.seed(1)
    draw = np.random.default_rng(3)
    texts = [draw.integers(3, 9, n) for n in draw.integers(1, 7, 23)]
    decoder = models.Decoder(9, 4, 5, attention=models.Attention(5, 5, "additive"), dropout=0.2)
    net = models.Seq2Seq(models.Encoder(9, 4, 5), decoder, start=1, end=2, pad=0)
    return net, fit(
        net, data.Batches(texts, [one[::-1] for one in texts], batch_size=3),
        lambda m, b: m.loss(b.x, b.lengths, b.y, ratio=0.5, feedback="sample"),
        optimizer=rnn.optim.Adam(net.parameters(), 0.01), steps=STEPS, progress=False,
        distributed=distributed,
    )  # fmt: skip


class Dropped(rnn.Module):
    """Drop out in every way: on inputs, states, outputs, weights and units that stay."""

    def __init__(self):
        cell = rnn.WeightDropout(rnn.Zoneout(rnn.LSTMCell(3, 5), 0.3), 0.4)
        cell = rnn.VariationalDropout(cell, inputs=0.2, states=0.3, outputs=0.1)
        self.recurrent, self.dropout = rnn.Recurrent(cell), rnn.Dropout(0.3)
        self.head = rnn.Linear(5, 2)

    def forward(self, x):
        return self.head(self.dropout(self.recurrent(x)[0]))


def dropped(distributed, **more):
    engine.seed(1)
    draw = np.random.default_rng(3)
    x, y = (draw.normal(size=(25, 6, n)).astype("f") for n in (3, 2))
    net = Dropped()
    own = {"steps": STEPS} | more
    return net, fit(net, data.ArrayBatches(x, y, batch_size=7),
                    lambda m, b: engine.mean((m(b.x) - b.y) ** 2), progress=False,
                    optimizer=rnn.optim.Adam(net.parameters(), 0.01), distributed=distributed,
                    **own)  # fmt: skip


class Largest(Metric):
    """Measure a metric that cannot be put together from parts: every rank is fed all."""

    def reset(self):
        self.seen = []

    def update(self, x):
        self.seen.append(float(np.max(x)))

    def value(self):
        return float(np.mean(self.seen))


def pairs(batch, rank, ranks):
    """Return the rows of a rank in a pair (x, y)."""
    first, stop = rnn.distributed.bounds(len(batch[1]), rank, ranks)
    if first == stop:
        return None
    own = tuple(part[first:stop] for part in batch)
    return rnn.distributed.Share(own, first, stop - first, len(batch[1]))


def settings(distributed):
    """Train on pairs with all else that `fit` can do: averages, metrics, an early stop."""
    engine.seed(1)
    draw = np.random.default_rng(3)
    batches = [(draw.normal(size=(n, 3)).astype("f"), draw.normal(size=(n, 1)).astype("f"))
               for n in (5, 1, 7, 2, 6)]  # fmt: skip
    net = rnn.Sequential(rnn.Linear(3, 8), engine.tanh, rnn.Dropout(0.3), rnn.Linear(8, 1))
    optimizer = rnn.optim.SGD(net.parameters(), 0.3, momentum=0.9)
    ranks = None if distributed is None else rnn.distributed.Communicator(share=pairs)
    return net, fit(
        net, batches, lambda m, b: engine.mean((m(b[0]) - b[1]) ** 2), optimizer=optimizer,
        epochs=40, accumulate=2, ema=rnn.training.EMA(net, 0.9), validation=batches[:3],
        metrics=[Largest()], outputs=lambda m, b: (m(b[0]).numpy(),), patience=3,
        evaluate=lambda m: {"drawn": float(engine.sum(engine.dropout(engine.ones(99))).item())},
        monitor="loss", progress=False, schedule=lambda one: rnn.schedules.StepLR(one, 10, 0.7),
        distributed=ranks,
    )  # fmt: skip


def equal(folder, *names):
    """Compare with one process, which rank 0 is alone, on the jobs that are named."""
    for job in (language, tagger, translator, dropped, settings):
        if job.__name__ in names:
            compare(job)
            if not RANKS.rank:
                print(job.__name__, "is as on one process", flush=True)


def compare(job):
    """Compare a job on all ranks with what rank 0 alone computes."""
    alone = job(None) if not RANKS.rank else None
    sleep_until_all_are_here()
    net, history = job(RANKS)
    if alone is not None:
        for ours, own in zip(net.parameters(), alone[0].parameters(), strict=True):
            np.testing.assert_allclose(ours.numpy(), own.numpy(), atol=1e-5, err_msg=job.__name__)
        np.testing.assert_allclose(history.losses, alone[1].losses, rtol=1e-5)
        assert history.stopped == alone[1].stopped
        for ours, own in zip(history.validations, alone[1].validations, strict=True):
            np.testing.assert_allclose(list(ours.metrics.values()), list(own.metrics.values()),
                                       rtol=1e-5)  # fmt: skip


def planted(folder):
    """Plant mistakes; each has to make a difference that `compare` finds."""
    over, summed = rnn.training.over_ranks, rnn.training.over_ranks.summed
    plain = {"summed": summed, "rows": over.rows}
    mistakes = {
        "a mean over ranks": ("summed", lambda *given: summed(*given[:3], 1 / RANKS.size)),
        "masks by rank": ("rows", lambda first, size, total: nullcontext()),
        "rows of another": ("rows", lambda first, size, total: plain["rows"](0, size, total)),
    }
    for name, (place, wrong) in mistakes.items():
        setattr(over, place, wrong)
        if RANKS.rank:
            compare(dropped)
        else:
            raised(AssertionError, lambda: compare(dropped))
            print(name, "is found", flush=True)
        setattr(over, place, plain[place])
    compare(dropped)


class Slow(Callback):
    """Leave the tests time to kill a rank; say which process each is."""

    def begin(self, run):
        Path(sys.argv[2], f"pid-{run.rank}").write_text(str(os.getpid()))

    def step(self, run, record):
        if Path(sys.argv[2], "slow").exists():
            time.sleep(0.05)


def recomputed(net, chunk, state):
    """Carry a state that was computed of the one that a layer returns: its axes are not known."""
    cost, state = language_loss(net, chunk, state)
    return cost, [tuple(one * 1 for one in layer) for layer in state]


def whole(folder, steps="40", hidden="5", state="plain"):
    """Train with checkpoints, from the newest one where there is one; leave the weights."""
    own = {"checkpoint": folder / "run", "every": 1, "log": folder / "log.jsonl"}
    own["loss"] = recomputed if state == "computed" else language_loss
    net, history = language(RANKS, int(steps), int(hidden), resume=True, callbacks=[Slow()], **own)
    if not RANKS.rank:
        np.savez(folder / f"weights-{history.stopped}.npz", **net.state_dict())
        print(history.stopped, history.steps[-1].step, flush=True)


def scalar(device, kind, distributed):
    """Train layers of a dtype on a device."""
    engine.seed(1)
    draw = np.random.default_rng(3)
    x, y = (draw.normal(size=(25, n)).astype("f") for n in (3, 1))
    net = rnn.Sequential(rnn.Linear(3, 8), engine.tanh, rnn.Linear(8, 1))
    net.to(device, dtype=getattr(engine, kind))

    def loss(net, batch):
        x, y = (engine.asarray(one, dtype=getattr(engine, kind), device=device)
                for one in (batch.x, batch.y))  # fmt: skip
        return engine.mean((net(x) - y) ** 2)

    batches = data.ArrayBatches(x, y, batch_size=7, steps=False, y_steps=False)
    return net, fit(net, batches, loss, steps=5, clip_norm=1.0, progress=False,
                    optimizer=rnn.optim.Adam(net.parameters(), 0.01),
                    distributed=distributed)  # fmt: skip


def devices(folder, layout="apart"):
    """Compare sums on the devices with sums on the host, and with one process."""
    if layout == "visible":  # each rank sees one GPU, of which it does not know the others
        os.environ["FAKE_CUPY_BUS"] = str(RANKS.rank + 1)
    choose_cupy()
    from cupy._state import count

    device = "cupy:0" if layout == "visible" else f"cupy:{RANKS.local_rank}"
    if layout == "apart":
        assert (RANKS.device("cuda"), RANKS.device("cupy:1")) == (device, "cupy:1")
    assert RANKS.device("cpu") == "numpy"
    on_host = rnn.distributed.Communicator(on_device=False)
    for kind in ("float32", "float64", "float16", "bfloat16"):
        first = scalar(device, kind, on_host)
        assert on_host.why_on_host == "on_device=False"
        assert not count.launches["ncclAllReduce"]
        net, history = scalar(device, kind, RANKS)
        assert RANKS.why_on_host is None, RANKS.why_on_host
        assert count.launches["ncclAllReduce"] == 5, count.launches  # one a step
        for ours, own in zip(net.parameters(), first[0].parameters(), strict=True):
            assert ours.device == device
            np.testing.assert_array_equal(ours.numpy(), own.numpy())
        assert history.losses == first[1].losses
        if not RANKS.rank:
            alone = scalar(device, kind, None)
            close = {"float16": 1e-2, "bfloat16": 1e-1}.get(kind, 1e-5)
            np.testing.assert_allclose(history.losses, alone[1].losses, rtol=close)
        count.clear()
    print("added on the devices", flush=True)


def one_device(folder, what="shared"):
    """Train on one device, or where there is no NCCL: through the host, which is said."""
    import pytest

    os.environ["FAKE_CUPY_NCCL"] = str(int(what == "shared"))
    choose_cupy()
    device = RANKS.device("cupy:0" if what == "shared" else "cupy")
    told = "ranks 0, 1 share the device 0000:01:00.0" if what == "shared" else "no NCCL library"
    told = f"on the host and not on the devices: .*{told}"
    with nullcontext() if RANKS.rank else pytest.warns(UserWarning, match=told):
        _, history = scalar(device, "float32", RANKS)
    assert ("share" if what == "shared" else "NCCL") in RANKS.why_on_host
    if not RANKS.rank:
        alone = scalar(device, "float32", None)
        np.testing.assert_allclose(history.losses, alone[1].losses, rtol=1e-5)
    print("added on the host", flush=True)


def killed_on_devices(folder):
    """Kill one rank while the other adds on its device."""
    choose_cupy()
    over = rnn.training.over_ranks
    summed = over.summed

    def fatal(*given):
        if RANKS.rank:
            os.kill(os.getpid(), signal.SIGKILL)
        return summed(*given)

    over.summed = fatal
    scalar(RANKS.device("cupy"), "float32", RANKS)
    print("not reached", flush=True)


def peer(token, device):
    """Add twice with another process, which is none of MPI, and vanish."""
    choose_cupy()
    cupy = engine.backends.by_device("cupy")
    with cupy.on(device):
        sums = cupy.device_sums.Sums(int(device[-1]), 2, 1, bytes.fromhex(token))
        for _ in range(2):
            print(sums.sum(cupy.xp.ones(3, dtype="float32")), flush=True)
    os._exit(1)


def error(folder):
    """Raise on one rank in the middle, where the others wait for it."""

    def step(run, record):
        if run.rank == RANKS.size - 1 and record.step == 3:
            raise RuntimeError("a fault of one rank")

    language(RANKS, callbacks=[step])


def fault_of_loss(folder):
    """Raise in the loss of one rank: all raise it, and can go on."""

    def loss(net, chunk, state, step):
        if RANKS.rank == RANKS.size - 1 and step == 2:
            raise LookupError("a fault of one loss")
        return language_loss(net, chunk, state)

    net = rnn.LanguageModel(11, 6, 5)
    fault = raised(LookupError, lambda: fit(
        net, data.Streams(IDS, batch_size=6, steps=5), loss, steps=5, carry=True,
        progress=False, distributed=RANKS, checkpoint=folder / "run",
    ))  # fmt: skip
    assert fault.__notes__ == [f"on rank {RANKS.size - 1} of {RANKS.size}"]
    found = rnn.training.Checkpoints(folder / "run").newest()
    assert found.state["step"] == 2, found.state["step"]
    print("fault of a loss known", flush=True)


class Kept(Callback):
    """Keep the weights after the last step."""

    last = 0

    def step(self, run, record):
        self.last, self.weights = record.step, run.model.state_dict()


def nan(folder):
    """Make the loss, then the gradient, of one rank NaN; the weights stay those before the step."""
    for what in ("loss", "gradient"):

        def loss(net, chunk, state, step, what=what):
            cost, state = language_loss(net, chunk, state)
            if RANKS.rank == 1 and step == 2:
                zero = engine.sum(net.head.weight) * 0
                cost = cost + (engine.log(zero - 1) if what == "loss" else engine.sqrt(zero))
            return cost, state

        net, kept = rnn.LanguageModel(11, 6, 5), Kept()
        fault = raised(engine.AnomalyError, lambda net=net, kept=kept, loss=loss: fit(
            net, data.Streams(IDS, batch_size=6, steps=5), loss, steps=5, carry=True,
            progress=False, distributed=RANKS, callbacks=[kept],
        ))  # fmt: skip
        assert "step 3" in str(fault)
        assert ("log" if what == "loss" else "sqrt") in str(fault)
        assert fault.__notes__ == [f"on rank 1 of {RANKS.size}"]
        assert kept.last == 2
        for name, x in net.state_dict().items():
            np.testing.assert_array_equal(x, kept.weights[name])
    print("NaN known", flush=True)


def stopped(folder):
    """Stop where one rank is told to: by a signal, then by a callback; the others stop with it."""
    for what in ("interrupted", "enough"):

        def step(run, record, what=what):
            if run.rank == RANKS.size - 1 and record.step == 4:
                run.stop("enough") if what == "enough" else os.kill(os.getpid(), signal.SIGTERM)

        history = language(RANKS, callbacks=[step])[1]
        assert (history.stopped, history.steps[-1].step) == (what, 4), (history.stopped, history)
    print("all stopped", flush=True)


class Counted:
    """Count the tokens that are read of a text."""

    read = 0

    def __len__(self):
        return len(IDS)

    def __getitem__(self, key):
        self.read += len(IDS[key])
        return IDS[key]


def reading(folder):
    """Say how many tokens this rank reads in nine steps."""
    text, net = Counted(), rnn.LanguageModel(11, 6, 5)
    chunks = data.Streams(text, batch_size=8, steps=5)
    text.read = 0  # of what kind they are has been looked up
    fit(net, chunks, language_loss, steps=9, carry=True, progress=False, distributed=RANKS)
    print(f"read {text.read} tokens", flush=True)


def other_data(folder):
    """Train on data that differ on one rank."""
    net = rnn.LanguageModel(11, 6, 5)
    ids = IDS if RANKS.rank != 1 else IDS[::-1].copy()
    fit(net, data.Streams(ids, batch_size=6, steps=5), language_loss, steps=5, carry=True,
        progress=False, distributed=True)  # fmt: skip


def diverged(folder):
    """Change a weight on one rank alone."""

    def step(run, record):
        if run.rank == 1 and record.step == 3:
            run.model.head.bias.data = run.model.head.bias.data + 1e-3

    language(RANKS, callbacks=[step], checkpoint=folder / "run", every=5)


def drawing(folder):
    """Draw in a callback of one rank, end a process early: neither changes what is trained."""

    def step(run, record):
        if run.rank == 1:
            engine.dropout(engine.ones(3))
            run.model(np.zeros((2, 2), dtype=int))

    alone = language(RANKS, 10)[0]
    net = language(RANKS, 10, callbacks=[step])[0]
    for ours, own in zip(net.parameters(), alone.parameters(), strict=True):
        np.testing.assert_array_equal(ours.numpy(), own.numpy())
    print("drawn", flush=True)


if __name__ == "__main__":
    for name in sys.argv[1].split(","):
        job = globals()[name]
        job(*sys.argv[2:]) if job is peer else job(Path(sys.argv[2]), *sys.argv[3:])
