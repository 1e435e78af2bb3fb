"""Run the benchmarks, and test that the tables in the docs are the files that they wrote."""

import json
import subprocess

import pytest

import engine
from benchmarks import (
    devices,
    eager,
    language_sides,
    language_step,
    measuring,
    modern,
    second_order,
    tables,
)
from tests.draws import first


@pytest.mark.parametrize("page", first(4, tables.PAGES))
def test_the_tables_are_those_of_the_result_files(page):
    text = (tables.ROOT / page).read_text(encoding="utf-8")
    assert "<!-- " in text
    assert tables.filled(text) == text


def test_a_number_changed_by_hand_is_caught():
    text = (tables.ROOT / "docs/about/benchmarks.md").read_text(encoding="utf-8")
    result = json.loads((measuring.RESULTS / "eager.json").read_text())
    planted = text.replace(f"{result['microseconds_per_op']['bptt']:.2f}", "0.01", 1)
    assert planted != text
    assert tables.filled(planted) == text


DATED_BY_HAND = ("char_rnn", "eager", "executors", "pictures", "tasks")


@pytest.mark.parametrize("path", sorted(measuring.RESULTS.glob("*.json")), ids=lambda p: p.stem)
def test_a_result_is_as_old_as_its_commit_or_newer(path):
    result = json.loads(path.read_text())
    asked = ["git", "show", "-s", "--format=%as", result["commit"].rstrip("+")]
    git = subprocess.run(asked, cwd=tables.ROOT, capture_output=True, text=True)
    if git.returncode:
        pytest.skip("this clone lacks the commit")
    made = git.stdout.strip()
    assert result["date"] == made if path.stem in DATED_BY_HAND else result["date"] >= made


def test_the_eager_benchmark_computes_what_it_times(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(eager, "OPS", 30)
    monkeypatch.setattr(eager, "PEERS", {"torch": lambda *_: pytest.fail("left out")})
    monkeypatch.setattr(eager.importlib, "import_module", no_such_module)
    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    eager.main([])
    result = json.loads((tmp_path / "eager.json").read_text())
    assert result["not_installed"] == ["torch"]
    assert result["microseconds_per_op"]["bptt"] > 0
    assert "left out" in capsys.readouterr().out


def no_such_module(name):
    raise ImportError(name)


def test_competitors_run_in_turn_and_only_counted_rounds_count():
    order = []
    found = measuring.in_turn(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=3, warm_ups=1
    )
    assert order == ["a", "b"] * 4
    assert set(found) == {"a", "b"}


def part(name, **found):
    """Write a file of results of a part of `make gpu`, as one on a GPU would."""
    gpu = {"name": "NVIDIA Test", "fake": False}
    machine = {"processor": "p", "cores": 1, "python": "3", "versions": {"cupy": "14"}, "gpu": gpu}
    result = {"what": "w", "machine": machine, "finished": True, **found}
    path = tables.RESULTS / "gpu" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result), encoding="utf-8")


LINE = {"cell": "lstm", "shape": [64, 64, 512, 512], "precision": "tf32", "failed": {},
        "executor": ["l0: c: not on the host", "l0: segments: runs it", "group h"],
        "best_peer": "torch.nn",
        "microseconds_a_step": {"bptt": 10.0, "torch.nn": 15.0}, "ratio": 1.5}  # fmt: skip


def test_the_tables_of_a_gpu_say_what_was_run_and_what_was_not(monkeypatch, tmp_path):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    names = [name for name in tables.TABLES if name.startswith("gpu_")]
    assert {tables.table(name).partition(": ")[0] for name in names} == {"Not run on a GPU yet"}
    assert tables.table("gpu_eager").endswith("`python -m benchmarks.eager --device cupy`.")
    assert tables.table("gpu_sanitizer").endswith("`make gpu`.")
    failed = {**LINE, "precision": "float32", "failed": {"bptt": "gradients are wrong"},
              "microseconds_a_step": {"torch.nn": 15.0}, "ratio": None}  # fmt: skip
    cut = {**LINE, "cell": "gru", "cut_off": 3}
    group = {"lines": 1, "failed": 0, "geometric_mean": 1.5, "worst": 1.5, "losses": 0}
    part("recurrence_anchors", rows=[LINE, failed, cut], finished=False,
         groups={"tf32": group, "float32": {**group, "geometric_mean": None, "worst": None}},
         not_run=[{"what": "bfloat16", "why": "the engine has no choice"}])  # fmt: skip
    text = tables.table("gpu_recurrence")
    assert ("| tf32 | lstm | 64, 64, 512, 512 | 10.00 | 15.00 | torch.nn | 1.50 "
            "| l0: segments: runs it |") in text  # fmt: skip
    assert "| float32 | lstm | 64, 64, 512, 512 | gradients are wrong | 15.00 |" in text
    assert "gru" not in text
    assert "Not run: bfloat16, as the engine has no choice." in text
    assert "Not finished: lines are missing." in text
    assert text.endswith("w; NVIDIA Test, p, 1 cores, Python 3, cupy 14.")
    assert text.index("float32 | lstm") < text.index("tf32 | lstm")
    part("tests", counts={"passed": 2000, "failed": 1},
         not_passed={"a::b": {"outcome": "failed", "why": "KeyError"}})  # fmt: skip
    assert "| tests: passed | 2,000 |" in tables.table("gpu_tests")
    assert "| failed: `a::b` | KeyError |" in tables.table("gpu_tests")
    part("sanitizer", tools={"memcheck": {"errors": 0}, "racecheck": {"errors": None},
                             "synccheck": {"not_run": "there is none"}})  # fmt: skip
    text = tables.table("gpu_sanitizer")
    assert (
        "| memcheck | 0 errors |\n| racecheck | came to no summary |\n| synccheck | there" in text
    )
    part("environment", step={"right": False, "error": 0.5})
    assert "One training step on the GPU: wrong, error 5.0e-01." in tables.table("gpu_state")
    part("executors", rows=[{"cell": "gru", "shape": [1, 2, 3, 4],
                             "milliseconds": {"explicit": 6.0, "chosen": 2.0}}],
         main_job={"explicit_milliseconds_per_update": 9.0,
                   "chosen_milliseconds_per_update": 3.0})  # fmt: skip
    assert "| gru | 1, 2, 3, 4 | 6.00 | 2.00 | 3.00 |" in tables.table("gpu_executors")


@pytest.mark.parametrize("cell", first(2, reversed(second_order.LINES)))  # LSTM and GRU are last
def test_products_with_the_hessian_are_checked_before_they_are_timed(cell, monkeypatch):
    make = second_order.LINES[cell][0]
    second_order.check(make, (5, 2, 3, 4))
    real = second_order.ways

    def wrong(make, shape, dtype="float32"):
        gradient, product = real(make, shape, dtype)
        return gradient, product if dtype == "float64" else gradient

    monkeypatch.setattr(second_order, "ways", wrong)
    with pytest.raises(AssertionError, match="is off by"):
        second_order.check(make, (5, 2, 3, 4))


def test_the_table_of_second_order():
    line = {"cell": "gru", "shape": [1, 2, 3, 4], "threads": 2, "ratio": 3.0,
            "milliseconds": {"gradient": 1.5, "product": 4.5}}  # fmt: skip
    assert tables.second_order({"rows": [line]})[-1] == "| gru | 1, 2, 3, 4 | 2 | 1.5 | 4.5 | 3.0 |"


SMALL = {"linear attention": (130, 2, 16, 16), "gated delta rule": (130, 2, 16, 16),
         "Mamba": (5, 1, 3, 2), "decay": (5, 2, 3), "decay, narrow": (5000, 1, 1)}  # fmt: skip


@pytest.mark.parametrize("line", first(2, modern.LINES))
def test_all_sides_of_an_affine_recurrence_have_the_gradients_of_float64(line, monkeypatch):
    make = modern.LINES[line][0]
    shape = SMALL[line]
    monkeypatch.setitem(modern.LINES, line, (make, shape))
    arrays = make(shape)
    exact = modern.ours(line, shape, arrays, "float64", "steps")()
    for side in modern.sides_of(line):
        modern.check(modern.job_of(side, line, shape, arrays)(), exact)
    wrong = dict(exact, **{next(iter(exact)): 1.1 * next(iter(exact.values()))})
    with pytest.raises(AssertionError, match="is off by"):
        modern.check(wrong, exact)


def test_the_table_of_affine_recurrences():
    line = {"line": "decay", "shape": [1, 2], "threads": 2, "peak_megabytes": 3.0,
            "milliseconds": {"bptt": 1.0, "jax scan": 2.0}}  # fmt: skip
    assert tables.modern({"rows": [line]})[-1] == "| decay | 1, 2 | 2 | 1.0 | 2.0 | 3 |"


def test_results_of_the_fake_make_no_table(monkeypatch, tmp_path):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    machine = {"gpu": {"name": devices.FAKE, "fake": True}}
    part("tests", counts={}, not_passed={}, machine=machine)
    with pytest.raises(ValueError, match="a fake of CuPy"):
        tables.table("gpu_tests")


def test_the_readme_says_of_a_gpu_what_the_results_say():
    text = " ".join((tables.ROOT / "README.md").read_text(encoding="utf-8").split())
    never = "Not run on a GPU yet" in text
    assert never == (not list((measuring.RESULTS / "gpu").glob("*.json")))


def small_language_model(monkeypatch):
    for name, size in {"V": 50, "WIDTH": 6, "T": 4, "B": 3}.items():
        monkeypatch.setattr(language_sides, name, size)


@pytest.mark.parametrize("optimizer", language_sides.RATES)
def test_both_sides_of_the_language_step_compute_the_same(optimizer, monkeypatch):
    pytest.importorskip("torch")
    small_language_model(monkeypatch)
    threads = engine.get_num_threads()
    try:
        found = {side: language_step.alone(side, optimizer, 1, 0, parts=False)
                 for side in language_sides.SIDES}  # fmt: skip
    finally:
        engine.set_num_threads(threads)
    assert language_step.agreeing(found) < 1e-5
    first, *_, last = found["bptt"]["losses"]
    assert last != first
    found["bptt"]["losses"][-1] += 1e-2
    with pytest.raises(ValueError, match="losses after 5 steps"):
        language_step.agreeing(found)


def test_the_parts_of_the_language_step_run(monkeypatch):
    small_language_model(monkeypatch)
    threads = engine.get_num_threads()
    try:
        found = language_step.alone("bptt", "adam", 1, 1, parts=True)
    finally:
        engine.set_num_threads(threads)
    assert min(found["parts"].values()) > 0
    assert "step" in found["parts"]


def test_the_language_step_writes_medians_of_processes(monkeypatch, tmp_path, capsys):
    pytest.importorskip("torch")
    times = {"bptt": iter([0, 1.0, 3.0, 2.0] * 4), "torch": iter([0, 4.0, 6.0, 5.0] * 4)}
    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    monkeypatch.setattr(
        language_step, "apart",
        lambda side, *_, **__: {"losses": [1.0], "milliseconds": next(times[side])},
    )  # fmt: skip
    language_step.main(["--processes", "3"])
    rows = json.loads((tmp_path / "language_step.json").read_text())["rows"]
    assert [(row["optimizer"], row["threads"]) for row in rows] == [
        ("adam", 1), ("adam", 2), ("sgd", 1), ("sgd", 2),
    ]  # fmt: skip
    assert {row["ratio"] for row in rows} == {2.5}
    assert "adam 1: 2.50" in capsys.readouterr().out
