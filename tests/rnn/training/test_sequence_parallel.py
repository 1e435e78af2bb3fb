"""Compare sequences in stretches of time on ranks of MPI with what one process computes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.draws import first

pytest.importorskip("mpi4py", reason="sequences on ranks need mpi4py: pip install '.[mpi]'")


COMPILED, PLAN = ((), {}), (("layers",), {"BPTT_EXECUTORS": "plan,explicit"})
SAID = (
    "do not commute",
    "three derivatives",
    "NaN",
    "refused on all ranks",
    "different graphs told",
)


@pytest.mark.parametrize(("ranks", "way"), first(1, [(4, PLAN), (2, COMPILED)]), ids=["4", "2"])
def test_sequences_on_ranks_are_those_of_one_process(ranks, way):
    beside = Path(sys.executable).with_name("mpiexec")
    launcher = str(beside) if beside.exists() else shutil.which("mpiexec")
    if launcher is None:
        pytest.skip("sequences on ranks need mpiexec: pip install '.[mpi]'")
    command = [launcher, "-n", str(ranks), sys.executable, "-m", "mpi4py", "-m",
               "tests.rnn.training.sequence_on_ranks", *way[0]]  # fmt: skip
    own = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **way[1]}
    done = subprocess.run(command, cwd=ROOT, env=os.environ | own, capture_output=True, text=True,
                          timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for said in (*SAID, *(f"{what} equal to one process" for what in way[0])):
        assert done.stdout.count(said) == ranks, done.stdout
