"""Train on several processes: as on one, even if one of them fails.

Each test starts a job of `rank_jobs.py`; there are none where mpi4py or mpiexec is missing.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import engine
import rnn
from engine.state import Rows
from rnn.distributed import Share, bounds
from tests import ROOT
from tests.draws import first, slow_beside

ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
SECONDS = 120
KILLED_WITHIN = 20  # seconds until a job ends that has lost a process; a hang would never end


@pytest.fixture
def start():
    """Yield a function that starts a job on N processes."""
    pytest.importorskip("mpi4py")
    mpiexec = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if mpiexec is None:
        pytest.skip("there is no mpiexec")
    started = []

    def begin(number, *job):
        program = [sys.executable, str(Path(__file__).with_name("rank_jobs.py")), *map(str, job)]
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        one = subprocess.Popen(
            [mpiexec, "-n", str(number), *program], stdout=subprocess.PIPE, text=True,
            stderr=subprocess.STDOUT, cwd=ROOT, env={**os.environ, **ALONE, "PYTHONPATH": paths},
        )  # fmt: skip
        started.append(one)
        return one

    yield begin
    for one in started:
        one.kill()
        one.wait()


@pytest.fixture
def run(start):
    """Return a function that runs a job on N processes: its exit status and what it printed."""

    def go(number, *job):
        one = start(number, *job)
        text = one.communicate(timeout=SECONDS)[0]
        return one.returncode, text

    return go


# Of four ranks some have no rows of the small batches of `tagger` and `settings`.
JOBS = [
    (2, ("language", "translator", "dropped")),
    (4, ("tagger", "settings")),
    (2, ("tagger", "settings")),
    (4, ("language", "translator", "dropped")),
]


@pytest.mark.parametrize(("number", "names"), first(2, JOBS), ids=str)
def test_several_processes_train_as_one(run, tmp_path, number, names):
    status, text = run(number, "equal", tmp_path, *names)
    assert status == 0, text
    assert text.count("is as on one process") == len(names), text


@slow_beside("test_several_processes_train_as_one")
def test_mistakes_make_a_difference(run, tmp_path):
    status, text = run(2, "planted", tmp_path)
    assert status == 0, text
    assert text.count("is found") == 3, text


def test_what_one_process_meets_all_know(run, tmp_path):
    status, text = run(2, "fault_of_loss,nan,stopped,drawing", tmp_path)
    assert status == 0, text
    for told in ("fault of a loss known", "NaN known", "all stopped", "drawn"):
        assert text.count(told) == 2, text


@pytest.mark.parametrize(
    ("job", "told"),
    [
        ("error", "RuntimeError: a fault of one rank"),
        ("other_data", "ValueError: fit: the first batch of rank 1 differs from that of rank 0"),
        ("diverged", "ValueError: fit: the digest of the weights of rank 1 differs"),
    ],
)
def test_a_fault_ends_all_with_one_traceback(run, tmp_path, job, told):
    status, text = run(2, job, tmp_path)
    assert status != 0
    assert told in text
    assert text.count("Traceback") == 1, text
    assert f"rank {1 if job == 'error' else 0} of 2:" in text


@pytest.mark.parametrize("layout", ["apart", "visible"])
def test_gradients_are_added_on_the_devices_as_on_the_host(run, tmp_path, fake, layout):
    status, text = run(2, "devices", tmp_path, layout)
    assert status == 0, text
    assert text.count("added on the devices") == 2, text


@pytest.mark.parametrize("what", ["shared", "no library"])
def test_devices_that_cannot_be_connected_are_reported(run, tmp_path, fake, what):
    status, text = run(2, "one_device", tmp_path, what)
    assert status == 0, text
    assert text.count("added on the host") == 2, text


def test_a_process_that_is_killed_ends_those_that_add_with_it_on_devices(start, tmp_path, fake):
    one = start(2, "killed_on_devices", tmp_path)
    text = one.communicate(timeout=KILLED_WITHIN)[0]
    assert one.returncode != 0
    assert "not reached" not in text


@pytest.fixture
def fake(gpu):
    """Return the backend of the fake of CuPy, for calls that need two GPUs."""
    import cupy

    if not getattr(cupy, "IS_FAKE", False):
        pytest.skip("needs two GPUs or the fake of CuPy")
    return engine.backends.by_device(gpu)


@pytest.fixture
def two(fake):
    """Yield a function that starts another process on a device and connects both."""
    started = []

    def begin(device):
        token = fake.device_sums.token()
        program = [
            sys.executable,
            str(Path(__file__).with_name("rank_jobs.py")),
            "peer",
            token.hex(),
            device,
        ]
        started.append(subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.STDOUT,
                                        env={**os.environ, "PYTHONPATH": str(ROOT)}))  # fmt: skip
        return fake.device_sums.Sums(0, 2, 0, token)

    yield begin
    for one in started:
        one.kill()
        one.communicate()


def test_a_sum_with_a_process_that_is_gone_ends_with_an_error(fake, two):
    sums = two("cupy:1")
    own = fake.xp.full(3, 2.0, dtype="float32")
    assert sums.sum(own).get().tolist() == [3.0, 3.0, 3.0]
    with pytest.raises(
        TypeError, match=r"sum by NCCL: ndarray float32\[3\]; expected a contiguous"
    ):
        sums.sum(np.ones(3, dtype="float32"))
    for odd in (fake.xp.ones((3, 2), dtype="float32").T, fake.xp.ones(3, dtype="int32")):
        with pytest.raises(TypeError, match="expected a contiguous float32 or float64 array on"):
            sums.sum(odd)
    sums.sum(own)
    with pytest.raises(RuntimeError, match=r"REMOTE_ERROR.*; is another process gone"):
        sums.sum(own)


def test_the_fake_refuses_two_processes_on_one_device(two):
    with pytest.raises(RuntimeError, match="INVALID_USAGE"):
        two("cupy:0")


def weights(folder):
    return dict(np.load(folder / "weights-steps.npz"))


def finished(run, folder):
    folder.mkdir(exist_ok=True)
    status, text = run(2, "whole", folder)
    assert status == 0, text
    return weights(folder)


def killed_and_resumed(start, run, folder, seed, expected):
    """Kill a process at a random moment after the run has begun; go on, and compare the bits."""
    folder.mkdir()
    (folder / "slow").touch()  # it takes two seconds at least
    draw = random.Random(seed)
    one, rank = start(2, "whole", folder), draw.randrange(2)
    ids = [folder / f"pid-{number}" for number in range(2)]
    limit = time.monotonic() + SECONDS
    while not all(path.exists() and path.read_text() for path in ids):
        assert time.monotonic() < limit
        assert one.poll() is None, one.communicate()[0]
        time.sleep(0.01)
    time.sleep(draw.uniform(0, 1.5))
    os.kill(int(ids[rank].read_text()), signal.SIGKILL)
    one.communicate(timeout=KILLED_WITHIN)
    assert one.returncode != 0, seed
    assert not (folder / "weights-steps.npz").exists(), seed
    (folder / "slow").unlink()
    after = finished(run, folder)
    for name, x in expected.items():
        np.testing.assert_array_equal(after[name], x, err_msg=f"seed {seed}")


@pytest.mark.parametrize("seeds", first(1, [range(1), range(1, 3), range(3, 12), range(12, 20)]))
def test_a_killed_process_ends_the_job_which_resumes_to_the_bit(start, run, tmp_path, seeds):
    expected = finished(run, tmp_path / "whole")
    for seed in seeds:
        killed_and_resumed(start, run, tmp_path / str(seed), seed, expected)


@slow_beside("test_states_with_as_many_units_as_rows_go_on_with_another_number_of_processes")
def test_a_run_goes_on_with_another_number_of_processes(run, tmp_path):
    expected = finished(run, tmp_path / "whole")
    for number, steps in ((2, 13), (3, 20), (1, 27), (2, 40)):
        status, text = run(number, "whole", tmp_path, steps)
        assert status == 0, text
    for name, x in expected.items():
        np.testing.assert_allclose(weights(tmp_path)[name], x, atol=1e-5)


def test_states_with_as_many_units_as_rows_go_on_with_another_number_of_processes(run, tmp_path):
    (tmp_path / "all").mkdir()
    status, text = run(2, "whole", tmp_path / "all", 20, 6)
    assert status == 0, text
    for number, steps in ((1, 5), (3, 9), (1, 13), (2, 20)):  # 6 rows of 6 numbers on one
        status, text = run(number, "whole", tmp_path, steps, 6)
        assert status == 0, text
    for name, x in weights(tmp_path / "all").items():
        np.testing.assert_allclose(weights(tmp_path)[name], x, atol=1e-5)


def test_states_of_unknown_rows_go_on_with_as_many_processes(run, tmp_path):
    (tmp_path / "all").mkdir()
    for folder, steps in ((tmp_path / "all", 20), (tmp_path, 13)):  # 3 rows each, of 3 numbers
        status, text = run(2, "whole", folder, steps, 3, "computed")
        assert status == 0, text
    status, text = run(3, "whole", tmp_path, 20, 3, "computed")
    assert status != 0
    assert "leaf 0 of the carried state, (3, 3) on rank 0: the axis of the rows" in text
    assert "with 2 ranks only" in text
    status, text = run(2, "whole", tmp_path, 20, 3, "computed")
    assert status == 0, text
    for name, x in weights(tmp_path / "all").items():
        np.testing.assert_array_equal(weights(tmp_path)[name], x)


def carried_by(size, carried, share=None):
    """Return a run of so many processes that carries a state, in the parts a checkpoint reads."""
    own = SimpleNamespace(size=size, rank=0, gather=lambda what: [what] * size)
    return SimpleNamespace(settings=SimpleNamespace(distributed=own), carried=carried, uncut=None,
                           rows=share and Rows(share.first, share.size, share.total))  # fmt: skip


def layers_state():
    """Return states (4, 4) of 4 rows in two layouts, in a dict with names out of order."""
    x = engine.asarray(np.random.default_rng(0).normal(size=(3, 4, 2)), dtype=engine.float32)
    return {"z": rnn.GRU(2, 4, num_layers=4)(x)[1].detach(),
            "a": rnn.Recurrent(rnn.ElmanCell(2, 4))(x)[1].detach()}  # fmt: skip


def test_one_process_keeps_the_axis_of_the_rows_for_several():
    from rnn.training.carrying import collected, own_carried, taken

    state = layers_state()
    arrays, plan, spread = collected(carried_by(1, state))
    assert spread == {"axes": {"0": 1, "1": 0}, "rows": None}
    run = carried_by(2, None)
    run.carried, run.uncut = taken(run, plan, arrays, spread, "numpy")
    found = own_carried(run, Share(None, 1, 2, 4))
    np.testing.assert_array_equal(found["z"].numpy(), state["z"].numpy()[:, 1:3])
    np.testing.assert_array_equal(found["a"].numpy(), state["a"].numpy()[1:3])
    for old in (None, {"axes": {}, "rows": None}):  # as checkpoints were before
        run.carried, run.uncut = taken(run, plan, arrays, old, "numpy")
        with pytest.raises(ValueError, match=r"leaf 0 of the carried state, \(4, 4\), for 4 rows: "
                                             "the axis of the rows is ambiguous"):  # fmt: skip
            own_carried(run, Share(None, 1, 2, 4))
    run.carried, run.uncut = taken(run, plan, arrays, spread, "numpy")
    with pytest.raises(ValueError, match="for 6 rows: it has 4 of them, along axis 0; resume with"):
        own_carried(run, Share(None, 0, 3, 6))
    with pytest.raises(ValueError, match=r"leaf 1 \(4, 4\) has no axis 2"):
        taken(run, plan, arrays, {"axes": {"1": 2}, "rows": None}, "numpy")


def test_several_processes_keep_the_axis_of_the_rows_where_it_has_them():
    from rnn.training.carrying import collected, taken

    state = layers_state()
    run = carried_by(2, state, Share(None, 0, 4, 8))
    arrays, plan, spread = collected(run)
    assert spread["axes"] == {"0": 1, "1": 0}
    assert arrays["0"].shape == (4, 8, 4)
    again = taken(run, plan, arrays, spread, "numpy")[0]
    assert collected(carried_by(2, again, Share(None, 0, 4, 8)))[2]["axes"] == {"0": 1, "1": 0}
    run.rows = Rows(0, 3, 6)  # the states are not of these rows
    assert collected(run)[2]["axes"] == {"0": None, "1": None}


def test_every_row_belongs_to_one_rank_and_the_first_has_one():
    for total in range(1, 12):
        for ranks in range(1, 15):
            parts = [bounds(total, rank, ranks) for rank in range(ranks)]
            assert parts[0][0] == 0
            assert parts[0][1] > 0
            assert parts[-1][1] == total
            assert all(one[1] == two[0] for one, two in pairwise(parts))


class Two:
    """Act as a communicator of two ranks, or more, to look at what each of them takes."""

    def __init__(self, rank, share=None, size=2):
        self.rank, self.size, self.share, self.link = rank, size, share, None


def test_rows_of_loaders_are_cut_along_their_axis():
    from rnn.distributed.sharing import shared

    square = np.arange(16.0).reshape(4, 4, 1)  # as many steps as examples
    for steps in (True, False):
        loader = rnn.data.ArrayBatches(
            square, square[..., 0], batch_size=4, steps=steps, y_steps=steps, shuffle=False
        )
        (batch,) = loader
        found = [shared(Two(rank), loader, batch) for rank in range(2)]
        axis = int(steps)
        for field in (0, 2):
            joined = np.concatenate([one.batch[field] for one in found], axis=axis)
            np.testing.assert_array_equal(joined, batch[field])
        if not steps:
            with pytest.raises(ValueError, match="2 axes of that size; give Communicator"):
                shared(Two(0), [batch], batch)


class Counted:
    """Count the elements that are read of an array, or of a stand-in for one."""

    def __init__(self, array):
        self._array, self.read = array, 0

    def __len__(self):
        return len(self._array)

    def __getattr__(self, name):
        return getattr(self._array, name)

    def __getitem__(self, key):
        found = self._array[key]
        self.read += found.size
        return found


def counted(kind):
    """Return a loader of ragged last batches, and a count of its reads."""
    draw = np.random.default_rng(0)
    if kind == "streams":
        loader = rnn.data.Streams(draw.integers(0, 9, 400), batch_size=8, steps=7, reset_after=3)
        loader._ids = Counted(loader._ids)
        return loader, [loader._ids]
    if kind == "arrays":
        x, y = draw.normal(size=(22, 5, 3)), draw.normal(size=(22, 2))
        loader = rnn.data.ArrayBatches(x, y, batch_size=8)
        loader._x, loader._y = Counted(loader._x), Counted(loader._y)
        return loader, [loader._x, loader._y]
    words = [draw.integers(1, 9, n) for n in draw.integers(1, 9, 22)]
    loader = rnn.data.Batches(words, [one[::-1] for one in words], batch_size=8, y_pad=7)
    for part in (loader._x, loader._y):
        object.__setattr__(part, "flat", Counted(part.flat))
    return loader, [loader._x.flat, loader._y.flat]


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("kind", ["streams", "arrays", "ragged"])
def test_a_rank_reads_its_rows_alone_and_to_the_bit(kind, ranks):
    from rnn.data.loader import unread
    from rnn.distributed.sharing import shared

    whole, of_all = counted(kind)
    batches = list(whole)
    total, read = sum(one.read for one in of_all), []
    for rank in range(ranks):
        loader, texts = counted(kind)
        own = Two(rank, size=ranks)
        found = [shared(own, loader, batch) for batch in unread(loader)]
        read.append(sum(one.read for one in texts))
        assert loader.state() == whole.state()
        for share, batch in zip(found, batches, strict=True):
            cut = shared(own, whole, batch)
            assert share[1:] == cut[1:]
            for part, same in zip(share.batch, cut.batch, strict=True):
                np.testing.assert_array_equal(part, same, strict=True)
    assert sum(read) == total > 0
    assert max(read) < (1.5 if kind == "ragged" else 1.2) * total / ranks  # lengths differ


def test_a_loader_that_says_itself_what_its_batches_are_is_read_whole():
    from rnn.data.loader import unread

    class Doubled(rnn.data.Streams):
        def batches(self, epoch, start):
            for chunk in super().batches(epoch, start):
                yield chunk._replace(y=chunk.y * 2)

    loader = Doubled(range(20), batch_size=2, steps=3)
    assert all(isinstance(one, rnn.data.Chunk) for one in unread(loader))


@pytest.mark.parametrize("number", first(1, [2, 4]))
def test_training_reads_the_rows_of_each_rank(run, tmp_path, number):
    status, text = run(number, "reading", tmp_path)
    assert status == 0, text
    # Of 9 chunks of 8 streams of 6 tokens, and the first one as a whole, which all compare.
    assert text.count(f"read {432 // number + 48} tokens") == number, text


def test_a_share_that_is_none_is_refused():
    from rnn.distributed.sharing import shared

    pair = (np.zeros((4, 2)), np.zeros(4))
    with pytest.raises(TypeError, match="batch that is a tuple are not known; give Communicator"):
        shared(Two(0), [pair], pair)
    with pytest.raises(TypeError, match=r"expected|must return an rnn.distributed.Share"):
        shared(Two(0, lambda *given: pair), [pair], pair)
    with pytest.raises(ValueError, match="rows 3 to 5 of 4"):
        shared(Two(0, lambda *given: Share(pair, 3, 2, 4)), [pair], pair)
    with pytest.raises(ValueError, match="gave rank 0 no rows"):
        shared(Two(0, lambda *given: None), [pair], pair)
    assert shared(Two(1, lambda *given: None), [pair], pair) is None


class Doubled(Two):
    """Act as a communicator of two ranks that have the same."""

    def sum(self, array):
        array *= 2
        return array


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_gradients_are_summed_on_the_host_and_go_back(device, dtype):
    from rnn.distributed.sums import summed

    x, y, z = (engine.ones(3, dtype=getattr(engine, dtype), device=device, requires_grad=True)
               for _ in range(3))  # fmt: skip
    engine.sum(x * engine.asarray([1.0, 2.0, 3.0], dtype=x.dtype, device=device)).backward()
    summed(Doubled(0), [x, y, z], [True, True, False], 0.25)
    assert (x.grad.device, x.grad.dtype) == (x.device, x.dtype)
    assert x.grad.numpy().tolist() == [0.5, 1.0, 1.5]
    assert y.grad.numpy().tolist() == [0.0, 0.0, 0.0]  # another rank has one
    assert z.grad is None


def test_metrics_are_put_together_where_they_say_how():
    from rnn.training import NLL, Accuracy, Metric, SpanF1
    from rnn.training.validating import _merges

    class More(Accuracy):
        def reset(self):
            super().reset()
            self.kept = []

    class Alone(Metric):
        def reset(self):
            pass

    assert all(map(_merges, (NLL(), Accuracy(), SpanF1(["O"]), rnn.training.BLEU())))
    assert not _merges(More())
    assert not _merges(Alone())


def test_arguments_are_refused():
    net = rnn.Linear(2, 1)
    with pytest.raises(TypeError, match="distributed must be True or an"):
        rnn.fit(net, [1], lambda net, x: net(x), steps=1, distributed=2)
