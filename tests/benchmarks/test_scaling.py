"""Test the scaling benchmark: the model of messages, its tables, and that the measurements run."""

import json

import pytest

from benchmarks import measuring, scaling, scaling_predicted, scaling_tables
from benchmarks.scaling_model import NETWORKS, Network, all_reduce, fitted, line, scan_pass


@pytest.mark.parametrize("algorithm", ["ring", "tree"])
@pytest.mark.parametrize("ranks", [2, 8])
def test_a_fit_finds_the_network_that_made_the_times(algorithm, ranks):
    network = Network(5e-6, 2e9)
    rows = [{"bytes": n, "seconds": all_reduce(n, ranks, network, algorithm)}
            for n in (1 << 10, 1 << 16, 1 << 22)]  # fmt: skip
    found = fitted(rows, ranks, algorithm)
    assert found["latency"] == pytest.approx(5e-6)
    assert found["bandwidth"] == pytest.approx(2e9)
    assert found["median_relative_error"] < 1e-9
    rows[0]["seconds"] *= 2
    assert fitted(rows, ranks, algorithm)["median_relative_error"] > 1e-3


def test_small_messages_go_by_a_tree_and_large_ones_by_a_ring():
    network = NETWORKS["100 GbE"]
    for size, algorithm in ((1 << 10, "tree"), (1 << 30, "ring")):
        assert all_reduce(size, 64, network) == all_reduce(size, 64, network, algorithm)


def test_no_latency_is_below_zero():
    rows = [{"bytes": n, "seconds": n**1.5 * 1e-12} for n in (1 << 10, 1 << 16, 1 << 22)]
    assert fitted(rows, 4, "ring")["latency"] == 0
    assert line([1, 2, 4], [3.0, 5.0, 9.0]) == pytest.approx((1, 2))


def test_ranks_that_only_wait_for_messages_gain_nothing():
    slow = {"each": 0.0, "size": 1e6, "agreements": 1.0}
    times = [scan_pass(0, ranks, NETWORKS["10 GbE"], **slow) for ranks in (2, 8, 64)]
    assert times == sorted(times)
    assert times[0] > 0


FOUND = {"seconds": 0.5, "gradient_bytes": 100, "calls": {"agreement": 2.0},
         "milliseconds": {"compute": 400.0, "waiting": 100.0}}  # fmt: skip


def test_results_are_medians_of_launches_and_predictions_come_from_them(monkeypatch, tmp_path):
    pytest.importorskip("mpi4py")
    seconds = iter(range(1, 1000))
    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    monkeypatch.setattr(measuring, "machine", lambda: {"cores": 2})
    monkeypatch.setattr(scaling_predicted, "RESULTS", tmp_path)
    monkeypatch.setattr(
        scaling, "launched",
        lambda command, ranks, **given: {**FOUND, "seconds": float(next(seconds))},
    )  # fmt: skip
    assert scaling_predicted.predicted()[0].startswith("Not run yet")
    scaling.main(["--parts", "fit", "scan", "--launcher", "some launcher", "--rounds", "3"])
    result = json.loads((tmp_path / "scaling_fit.json").read_text())
    count = len(scaling.ROWS)
    assert [row["seconds"] for row in result["rows"]] == [count + n + 1 for n in range(count)]
    assert result["rows"][0]["each_launch"] == [1, count + 1, 2 * count + 1]
    rows = scaling_predicted.predicted()
    assert len(rows) == 2 + 3 * len(NETWORKS)
    assert rows[0].startswith("| predicted for |")
    table = scaling_tables.fit(result)
    assert table[2] == "| 1 rank | 8 | 7000.0 |  |  | 400.00 | 100.00 |"
    assert table[5].startswith("| 2 ranks | 32 | 10000.0 | 0.90 | 0.80 |")
    assert "| 4 ranks (in turn on 2 cores) | 64 |" in table[-1]


def test_help_writes_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    with pytest.raises(SystemExit):
        scaling.main(["--help"])
    with pytest.raises(SystemExit):
        scaling_predicted.main(["--latency", "1"])
    assert not list(tmp_path.iterdir())


def test_a_scan_on_two_ranks_is_measured():
    pytest.importorskip("mpi4py")
    try:
        command = scaling.launcher()
    except FileNotFoundError as reason:
        pytest.skip(str(reason))
    found = scaling.launched(command, 2, part="scan", T=64, B=1, H=4)
    assert found["seconds"] > 0
    assert {"compute", "waiting", "maps", "agreement"} <= set(found["milliseconds"])
    assert found["calls"]["maps"] == 2  # forward and backward
    with pytest.raises(RuntimeError, match="2 ranks for 1 steps"):
        scaling.launched(command, 2, part="scan", T=1, B=1, H=4)
