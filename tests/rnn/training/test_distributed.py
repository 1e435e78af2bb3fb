"""Training on several processes: as on one, whatever happens to one of them.

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

import numpy as np
import pytest

import engine
import rnn
from rnn.distributed import Share, bounds
from tests import ROOT
from tests.draws import first

ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
SECONDS = 120
KILLED_WITHIN = 20  # seconds until a job ends that has lost a process; a hang would take for ever


@pytest.fixture
def start():
    """A function that starts a job on N processes."""
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
    """A function that runs a job on N processes: its exit status and what it printed."""

    def go(number, *job):
        one = start(number, *job)
        text = one.communicate(timeout=SECONDS)[0]
        return one.returncode, text

    return go


# Of four ranks some have no rows of the small batches of `tagger` and `settings`.
JOBS = [
    (2, ()),
    (4, ("tagger", "settings")),
    (4, ("language", "translator", "dropped")),
]


@pytest.mark.parametrize(("number", "names"), first(2, JOBS), ids=str)
def test_several_processes_train_as_one(run, tmp_path, number, names):
    status, text = run(number, "equal", tmp_path, *names)
    assert status == 0, text
    assert text.count("is as on one process") == (len(names) or 5), text


def test_mistakes_make_a_difference(run, tmp_path):
    status, text = run(2, "planted", tmp_path)
    assert status == 0, text
    assert text.count("is found") == 3, text


@pytest.mark.parametrize("job", ["fault_of_loss", "nan", "stopped", "drawing"])
def test_what_one_process_meets_all_know(run, tmp_path, job):
    status, text = run(2, job, tmp_path)
    assert status == 0, text
    told = {"stopped": "all stopped", "drawing": "drawn"}.get(job, "all know")
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
def test_a_killed_process_ends_the_job_which_goes_on_to_the_bit(start, run, tmp_path, seeds):
    expected = finished(run, tmp_path / "whole")
    for seed in seeds:
        killed_and_resumed(start, run, tmp_path / str(seed), seed, expected)


def test_a_run_goes_on_with_another_number_of_processes(run, tmp_path):
    expected = finished(run, tmp_path / "whole")
    for number, steps in ((2, 13), (3, 20), (1, 27), (2, 40)):
        status, text = run(number, "whole", tmp_path, steps)
        assert status == 0, text
    for name, x in expected.items():
        np.testing.assert_allclose(weights(tmp_path)[name], x, atol=1e-5)


def test_states_whose_rows_cannot_be_told_go_on_with_as_many_processes(run, tmp_path):
    (tmp_path / "all").mkdir()
    for folder, steps in ((tmp_path / "all", 20), (tmp_path, 13)):  # 3 rows each, of 3 numbers
        status, text = run(2, "whole", folder, steps, 3)
        assert status == 0, text
    status, text = run(3, "whole", tmp_path, 20, 3)
    assert status != 0
    assert "leaf 0 of the carried state, (3, 3) on rank 0: the axis of the rows" in text
    assert "with 2 ranks only" in text
    status, text = run(2, "whole", tmp_path, 20, 3)
    assert status == 0, text
    for name, x in weights(tmp_path / "all").items():
        np.testing.assert_array_equal(weights(tmp_path)[name], x)


def test_every_row_belongs_to_one_rank_and_the_first_has_one():
    for total in range(1, 12):
        for ranks in range(1, 15):
            parts = [bounds(total, rank, ranks) for rank in range(ranks)]
            assert parts[0][0] == 0
            assert parts[0][1] > 0
            assert parts[-1][1] == total
            assert all(one[1] == two[0] for one, two in pairwise(parts))


class Two:
    """As a communicator of two ranks, to look at what each of them takes."""

    def __init__(self, rank, share=None):
        self.rank, self.size, self.share = rank, 2, share


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
    """As a communicator of two ranks that have the same."""

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
