"""Compare spans with a twin of conlleval and its published metrics, and sums with loops."""

import math
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import engine
from rnn.data import Vocabulary
from rnn.metrics import (
    BLEU,
    NLL,
    Accuracy,
    BitsPerCharacter,
    Metric,
    Perplexity,
    Score,
    SpanCounts,
    SpanF1,
    bits,
    bleu,
    perplexity,
    span_scores,
    spans,
)

# ---- spans by hand


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("", []),
        ("O O", []),
        ("B-X I-X O", [(0, 2, "X")]),
        ("B-X B-X", [(0, 1, "X"), (1, 2, "X")]),
        ("I-X I-X O I-X", [(0, 2, "X"), (3, 4, "X")]),  # IOB1
        ("I-X B-X I-X I-Y", [(0, 1, "X"), (1, 3, "X"), (3, 4, "Y")]),
        ("O I-X I-Y", [(1, 2, "X"), (2, 3, "Y")]),  # malformed BIO
        ("B-X I-Y I-Y", [(0, 1, "X"), (1, 3, "Y")]),
        ("B-X I-X E-X S-Y S-Y B-Y E-Y", [(0, 3, "X"), (3, 4, "Y"), (4, 5, "Y"), (5, 7, "Y")]),
        ("E-X E-X I-X E-X I-X", [(0, 1, "X"), (1, 2, "X"), (2, 4, "X"), (4, 5, "X")]),
        ("S-X I-X E-X B-X", [(0, 1, "X"), (1, 3, "X"), (3, 4, "X")]),
        ("B-X S-X I-X", [(0, 1, "X"), (1, 2, "X"), (2, 3, "X")]),
        ("B-X O E-X", [(0, 1, "X"), (2, 3, "X")]),
        ("B I O I", [(0, 2, ""), (3, 4, "")]),
        ("B-a-b I-a-b I-a", [(0, 2, "a-b"), (2, 3, "a")]),
        ("B-X O-X I-X", [(0, 1, "X"), (2, 3, "X")]),
    ],
)
def test_spans(tags, expected):
    assert [tuple(span) for span in spans(tags.split())] == expected


@pytest.mark.parametrize("tag", ["PER", "<pad>", "b-PER", "", "L-PER", "BI-X"])
def test_tags_that_are_none(tag):
    with pytest.raises(ValueError, match=f"spans: tag {tag!r}; expected O, or B-, I-, E- or S-"):
        spans(["O", tag])


# ---- conlleval's own way of counting: two flags along both sequences at once


def split(tag: str) -> tuple[str, str]:
    return (tag[0], tag[2:]) if tag != "O" else ("O", "")


ENDS = {("B", "B"), ("B", "O"), ("I", "B"), ("I", "O"), ("E", "E"), ("E", "I"), ("E", "O")}
STARTS = {("B", "B"), ("I", "B"), ("O", "B"), ("O", "I"), ("E", "E"), ("E", "I"), ("O", "E")}


def twin(predicted: list[list[str]], gold: list[list[str]]) -> dict[str, tuple[int, int, int]]:
    """Count spans there, found and right, by type, in one pass over lines with blank ones."""
    counts: dict[str, list[int]] = {}
    last = [("O", ""), ("O", "")]
    inside = False
    lines: list[tuple[str, str]] = []
    for ours, theirs in zip(predicted, gold, strict=True):
        lines += [*zip(theirs, ours, strict=True), ("O", "O")]
    for line in lines:
        now = [split(tag) for tag in line]
        ended, started = [], []
        for before, after in zip(last, now, strict=True):
            pair, other = (before[0], after[0]), before[1] != after[1]
            ended.append(pair in ENDS or (before[0] != "O" and other))
            started.append(pair in STARTS or (after[0] != "O" and other))
        if inside:
            if all(ended) and last[0][1] == last[1][1]:
                inside = False
                counts[last[0][1]][2] += 1
            elif ended[0] != ended[1] or now[0][1] != now[1][1]:
                inside = False
        if all(started) and now[0][1] == now[1][1]:
            inside = True
        for side in (0, 1):
            if started[side]:
                counts.setdefault(now[side][1], [0, 0, 0])[side] += 1
        last = now
    return {kind: tuple(counts[kind]) for kind in sorted(counts)}


@pytest.mark.parametrize("letters", ["BIO", "IO", "IOE"])
def test_random_tags_count_as_conlleval_counts_them(letters):
    generator = random.Random(7)

    def sentence(length: int) -> list[str]:
        drawn = [generator.choice(letters) for _ in range(length)]
        return [c if c == "O" else f"{c}-{generator.choice(['PER', 'LOC'])}" for c in drawn]

    right = 0
    for _ in range(200):
        gold = [sentence(generator.randrange(12)) for _ in range(3)]
        guess = [[t if generator.random() < 0.8 else sentence(1)[0] for t in s] for s in gold]
        counts = span_scores(guess, gold)
        assert {kind: tuple(score) for kind, score in counts.by_type.items()} == twin(guess, gold)
        right += counts.overall.correct
    assert right > 200


def iobes(found: list[tuple[int, int, str]], length: int) -> list[str]:
    tags = ["O"] * length
    for start, stop, kind in found:
        tags[start:stop] = [f"I-{kind}"] * (stop - start)
        tags[start], tags[stop - 1] = f"B-{kind}", f"E-{kind}"
        if stop - start == 1:
            tags[start] = f"S-{kind}"
    return tags


def bio(found: list[tuple[int, int, str]], length: int, first: bool = True) -> list[str]:
    """Return tags in IOB2, or IOB1 where only a span right after one of its type begins with B."""
    tags, ends = ["O"] * length, {}
    for start, stop, kind in found:
        tags[start:stop] = [f"I-{kind}"] * (stop - start)
        if first or ends.get(start) == kind:
            tags[start] = f"B-{kind}"
        ends[stop] = kind
    return tags


def test_well_formed_tags_of_all_schemes_mean_the_same():
    generator = random.Random(8)
    for _ in range(200):
        found, place = [], 0
        while (place := place + generator.choice((0, 0, 1, 2))) < 15:
            stop = min(15, place + generator.randint(1, 3))
            found.append((place, stop, generator.choice(("X", "Y"))))
            place = stop
        for tags in (bio(found, 15), bio(found, 15, first=False), iobes(found, 15)):
            assert [tuple(span) for span in spans(tags)] == found


# ---- published metrics

# The output example of the shared task CoNLL-2000, https://www.clips.uantwerpen.be/conll2000/
# chunking/output.html; the counts follow from its percentages and its numbers of chunks found.
PUBLISHED = """\
processed 961 tokens with 459 phrases; found: 539 phrases; correct: 371.
accuracy:  87.20%; precision:  68.83%; recall:  80.83%; FB1:  74.35
             ADJP: precision:   0.00%; recall:   0.00%; FB1:   0.00  1
             ADVP: precision:  45.45%; recall:  62.50%; FB1:  52.63  11
               NP: precision:  64.98%; recall:  78.63%; FB1:  71.16  317
               PP: precision:  83.18%; recall:  98.89%; FB1:  90.36  107
             SBAR: precision:  66.67%; recall:  33.33%; FB1:  44.44  3
               VP: precision:  69.00%; recall:  79.31%; FB1:  73.80  100"""
COUNTS = {
    "ADJP": (6, 1, 0), "ADVP": (8, 11, 5), "NP": (262, 317, 206),
    "PP": (90, 107, 89), "SBAR": (6, 3, 2), "VP": (87, 100, 69),
}  # fmt: skip


def test_the_published_output_of_conlleval():
    counts = SpanCounts(tags=961, right_tags=838)
    for kind in reversed(COUNTS):
        counts.gold[kind], counts.found[kind], counts.correct[kind] = COUNTS[kind]
    assert str(counts) == PUBLISHED


def test_the_published_output_from_tags():
    guess: list[list[str]] = []
    gold: list[list[str]] = []
    for kind, (there, found, correct) in COUNTS.items():
        guess += [[f"B-{kind}"]] * correct + [["O"]] * (there - correct)
        gold += [[f"B-{kind}"]] * there
        guess += [[f"B-{kind}", f"I-{kind}"]] * (found - correct)
        gold += [["O", "O"]] * (found - correct)
    order = list(range(len(gold)))
    random.Random(9).shuffle(order)
    counts = span_scores([guess[i] for i in order], [gold[i] for i in order])
    assert counts.overall == Score(459, 539, 371)
    assert {kind: tuple(score) for kind, score in counts.by_type.items()} == COUNTS
    assert str(counts).splitlines()[2:] == PUBLISHED.splitlines()[2:]


def test_the_sample_sentences_of_the_page_are_all_right():
    # Its guesses are IOB1 where the corpus is IOB2: other tags, the same chunks.
    gold = ["B-NP B-NP I-NP I-NP O", "B-NP B-VP B-NP I-NP"]
    guess = ["I-NP B-NP I-NP I-NP O", "I-NP B-VP B-NP I-NP"]
    counts = span_scores([s.split() for s in guess], [s.split() for s in gold])
    assert counts.overall == Score(5, 5, 5)
    assert counts.overall.f1 == 1
    assert counts.accuracy == pytest.approx(7 / 9)


def test_scores_without_anything():
    assert Score(0, 0, 0) == (0, 0, 0)
    assert (Score(0, 0, 0).precision, Score(0, 0, 0).recall, Score(0, 0, 0).f1) == (0, 0, 0)
    counts = SpanCounts()
    assert (counts.accuracy, counts.overall.f1, counts.by_type) == (0, 0, {})
    with pytest.raises(ValueError, match="spans: 1 predicted tags for 2"):
        counts.add(["O"], ["O", "O"])
    with pytest.raises(ValueError, match="tag 'X'"):
        counts.add(["B-A", "O"], ["B-A", "X"])
    assert counts == SpanCounts()
    for ours, theirs, said in (([["O"]], [], "fewer gold sentences than predicted"),
                               ([], [["O"]], "fewer predicted sentences than gold")):  # fmt: skip
        with pytest.raises(ValueError, match=f"span_scores: {said}; give as many"):
            span_scores(iter(ours), iter(theirs))


# ---- metrics over batches


def likelihoods(logits: Any, targets: Any, lengths: Any, ignore: int | None) -> list[float]:
    """Return -log p of every target that counts, by a loop."""
    terms = []
    for t, b in np.ndindex(*targets.shape):
        if t < lengths[b] and targets[t, b] != ignore:
            row = logits[t, b].astype(np.float64)
            terms.append(float(np.log(np.exp(row).sum()) - row[targets[t, b]]))
    return terms


def batches(count: int = 3, seed: int = 0) -> list[tuple[Any, Any, Any]]:
    generator = np.random.default_rng(seed)
    made = []
    for steps in range(2, 2 + count):
        logits = generator.normal(size=(steps, 4, 5)).astype(np.float32)
        targets = generator.integers(0, 5, (steps, 4))
        lengths = generator.integers(0, steps + 1, 4)
        made.append((logits, targets, lengths))
    return made


@pytest.mark.parametrize("ignore", [None, 0])
@pytest.mark.parametrize("cut", [False, True])
def test_likelihoods_against_a_loop(device, ignore, cut):
    metrics = [kind(ignore=ignore) for kind in (NLL, Perplexity, BitsPerCharacter)]
    terms = []
    for logits, targets, lengths in batches():
        given = (lengths,) if cut else ()
        terms += likelihoods(logits, targets, lengths if cut else [99] * 4, ignore)
        if cut:  # what stands in the padding makes no difference
            targets = np.where(np.arange(len(targets))[:, None] < lengths, targets, -100)
        for metric in metrics:
            metric.update(engine.asarray(logits, device=device), targets, *given)
    mean = sum(terms) / len(terms)
    expected = [mean, math.exp(mean), mean / math.log(2)]
    assert [metric.value() for metric in metrics] == pytest.approx(expected, rel=1e-6)
    assert [metric.count for metric in metrics] == [len(terms)] * 3


def test_known_likelihoods():
    uniform = np.zeros((7, 2, 8))
    perplexity_, bits_ = Perplexity(), BitsPerCharacter()
    for metric in (perplexity_, bits_):
        metric.update(uniform, np.zeros((7, 2), dtype=int))
    assert perplexity_.value() == pytest.approx(8)
    assert bits_.value() == pytest.approx(3)
    words = BitsPerCharacter()
    words.update(uniform, np.zeros((7, 2), dtype=int), characters=70)
    words.update(uniform[:1], np.zeros((1, 2), dtype=int), characters=14)
    assert words.value() == pytest.approx(3 * 16 / 84)
    assert perplexity(1e4) == math.inf
    assert math.isnan(perplexity(math.nan))
    assert bits(math.log(2)) == 1
    impossible = NLL()
    impossible.update([[0.0, -math.inf]], [1])
    assert impossible.value() == math.inf


@pytest.mark.parametrize("as_logits", [False, True])
@pytest.mark.parametrize("cut", [False, True])
def test_accuracy_against_a_loop(device, as_logits, cut):
    metric, right, count = Accuracy(ignore=2), 0, 0
    for logits, targets, lengths in batches(4):
        classes = logits.argmax(-1)
        for t, b in np.ndindex(*targets.shape):
            if targets[t, b] != 2 and (not cut or t < lengths[b]):
                count += 1
                right += int(classes[t, b] == targets[t, b])
        given = engine.asarray(logits if as_logits else classes, device=device)
        metric.update(given, targets, *((lengths,) if cut else ()))
    assert metric.value() == right / count
    assert 0 < right < count
    one = Accuracy()
    one.update([[0.1, 0.9], [0.8, 0.2]], [1, 1])  # (B, V) of a classifier
    one.update([0, 1], [0, 1])
    assert one.value() == 0.75


def test_metrics_before_and_after_the_first_batch():
    made: list[Metric] = [
        NLL(),
        Perplexity(),
        BitsPerCharacter(),
        Accuracy(),
        SpanF1(["O"]),
        BLEU(),
    ]
    names = ["nll", "perplexity", "bits_per_character", "accuracy", "span_f1", "bleu"]
    assert [metric.name for metric in made] == names
    assert [metric.better for metric in made] == ["min"] * 3 + ["max"] * 3
    for metric in made:
        assert math.isnan(metric.value())
        if metric.name == "bleu":
            metric.update(["a"], ["a"])
            assert metric.hypotheses == ["a"]
        elif metric.name == "span_f1":
            metric.update([[0]], [[0]])
            assert metric.value() == 0
        else:
            metric.update([[[1.0, 2.0]]], [[1]])
            assert metric.value() >= 0
        metric.reset()
        assert math.isnan(metric.value())


def test_metrics_record_nothing():
    logits = engine.asarray(np.zeros((2, 1, 3)), requires_grad=True)
    metric = NLL()
    metric.update(logits, [[0], [1]])
    assert isinstance(metric.total, float)
    assert logits.grad is None


def test_faults_in_batches():
    with pytest.raises(ValueError, match=r"accuracy: predictions \(3,\) for targets \(2,\); expec"):
        Accuracy().update([0, 1, 2], [0, 1])
    for wrong in ([1], [1.0, 1.0], [[1, 1]]):
        for metric in (NLL(), Accuracy()):
            with pytest.raises(
                ValueError, match=r"metrics: lengths .* for targets \(3, 2\); expec"
            ):
                metric.update(np.zeros((3, 2, 4)), np.zeros((3, 2), dtype=int), wrong)
    with pytest.raises(ValueError, match="for targets"):
        Accuracy().update([1], [1], [1])
    for wrong in ([-1, 2], [2, 4], engine.asarray([0, 1000])):
        for metric in (NLL(), Perplexity(), BitsPerCharacter(), Accuracy(), SpanF1(list("OBIE"))):
            with pytest.raises(ValueError, match=r"metrics: lengths must lie in 0 to 3, got \["):
                metric.update(np.zeros((3, 2, 4)), np.zeros((3, 2), dtype=int), wrong)
            assert math.isnan(metric.value())
    with pytest.raises(ValueError, match="nll: logits"):
        NLL().update(np.zeros((3, 2, 4)), np.zeros((2, 2), dtype=int))
    for wrong in (-5, 2.5, True, "9"):
        metric = BitsPerCharacter()
        with pytest.raises(
            ValueError, match="bits_per_character: expected characters of at least 0"
        ):
            metric.update([[[1.0, 2.0]]], [[1]], characters=wrong)
        assert metric.count == 0
    for name in ("update", "value", "reset"):
        with pytest.raises(NotImplementedError, match=f"Metric has no {name}"):
            getattr(Metric(), name)()


ONE_HOT = np.eye(3)[[0, 2, 1, 1]]
MISCOUNTED: dict[str, tuple[Any, Any, str]] = {
    "probabilities": (np.array([0.2, 0.7, 0.9]), [0, 1, 1],
                      r"predictions as integers, got float64; probabilities\? give p > 0.5"),
    "probabilities (N, 1) of targets (N, 1)": (
        np.array([[0.2], [0.7]]), [[0], [1]], "predictions as integers, got float64"),
    "classes as floats": (np.array([0.0, 1.0]), [0, 1], "predictions as integers, got float64"),
    "one logit a row": (np.array([[0.2], [0.7]]), [0, 1],
                        r"predictions \(2, 1\) for targets \(2,\) have 1 classes, of which the"),
    "no logit a row": (np.zeros((2, 0)), [0, 1], r"\(2, 0\) for targets \(2,\) have 0 classes"),
    "one-hot targets": (ONE_HOT, ONE_HOT, "targets as integers, got float64"),
    "one-hot targets of integers": (
        ONE_HOT, ONE_HOT.astype(int), "predictions as integers, got float64"),
    "one-hot targets of classes": ([0, 2, 1, 1], ONE_HOT.astype(int), "one-hot targets\\? give"),
    "targets as floats": (ONE_HOT, np.array([0.0, 2.0, 1.0, 1.0]), "targets as integers, got fl"),
    "targets (N, 1)": (ONE_HOT, [[0], [2], [1], [1]], r"predictions \(4, 3\) for targets \(4, 1\)"),
    "rows that are more": (ONE_HOT, [0], r"predictions \(4, 3\) for targets \(1,\)"),
    "a row that is one": (ONE_HOT[:1], [0, 1], r"predictions \(1, 3\) for targets \(2,\)"),
    "a target for all": (ONE_HOT[0], 0, None),
    "a number for many": (0, [0, 1], r"predictions \(\) for targets \(2,\)"),
    "padding as -100": (ONE_HOT, [0, -100, 1, 1], "target -100 is no class of 3; is it padding"),
    "padding as -1": ([0, 2, 1, 1], [0, -1, 1, 1], "target -1 is no class; is it padding"),
    "a class too many": (ONE_HOT, [0, 3, 1, 1], "target 3 is no class of 3"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MISCOUNTED)
def test_what_would_be_miscounted_is_refused(kind):
    predicted, targets, said = MISCOUNTED[kind]
    metric = Accuracy()
    if said is None:
        metric.update(predicted, targets)
        assert metric.value() == 1.0
        return
    with pytest.raises((TypeError, ValueError), match=f"^accuracy: .*{said}"):
        metric.update(predicted, targets)
    assert math.isnan(metric.value())


def test_truth_values_are_classes():
    metric = Accuracy()
    metric.update(np.array([0.2, 0.7, 0.9]) > 0.5, [0, 1, 1])
    metric.update(engine.asarray([True, False]), np.array([True, True]))
    assert metric.value() == 4 / 5


def test_padding_that_is_said_to_be_does_not_count():
    metric = Accuracy(ignore=np.int64(-100))
    metric.update(ONE_HOT, [0, -100, 1, 0])
    assert metric.value() == 2 / 3
    metric.update(ONE_HOT, [-100] * 4)  # nothing of it counts
    metric.update(np.zeros((0, 3)), np.zeros(0, int))
    metric.update(np.zeros((0, 3)), [])
    assert metric.value() == 2 / 3
    metric.update(ONE_HOT[:, None], [[0], [7], [1], [-5]], [1])  # one step, then padding
    assert metric.value() == 3 / 4


@pytest.mark.parametrize("ignore", ["pad", 1.0, True, [0]])
def test_what_is_ignored_is_a_class(ignore):
    with pytest.raises(TypeError, match="ignore must be a class, an integer, got "):
        Accuracy(ignore=ignore)
    with pytest.raises(TypeError, match="ignore must be a class"):
        NLL(ignore=ignore)


@pytest.mark.parametrize(
    ("logits", "targets", "said"),
    [
        (ONE_HOT, ONE_HOT, "nll: expected targets as integers, got float64"),
        (ONE_HOT, [0.0, 1.0, 1.0, 2.0], "nll: expected targets as integers, got float32"),
        (
            ONE_HOT,
            ONE_HOT.astype(int),
            r"nll: logits \(4, 3\) for targets \(4, 3\); expected logits",
        ),
        (ONE_HOT, [[0], [1], [1], [2]], r"nll: logits \(4, 3\) for targets \(4, 1\)"),
        (ONE_HOT, [0], r"nll: logits \(4, 3\) for targets \(1,\)"),
        (0.5, 0, r"nll: logits \(\) for targets \(\)"),
        (ONE_HOT, [0, 1, 1, 3], "cross_entropy: .* 3"),
    ],
)
def test_likelihoods_of_what_are_no_classes_are_refused(logits, targets, said):
    metric = NLL()
    with pytest.raises((TypeError, ValueError, IndexError), match=said):
        metric.update(logits, targets)
    assert math.isnan(metric.value())


@pytest.mark.parametrize("shape", [(2, 2, 3)])
def test_predictions_that_are_nan_are_refused_where_they_count(shape):
    predicted, targets = np.full(shape, math.nan), np.zeros((2, 2), dtype=int)
    for metric in (Accuracy(), SpanF1(["O", "B-X", "I-X"])):
        said = f"{metric.name}: the predictions have NaN; has the training diverged"
        with pytest.raises(ValueError, match=said):
            metric.update(predicted, targets)
        assert math.isnan(metric.value())
    one = np.zeros(shape)
    one[1, 0] = math.nan
    with pytest.raises(ValueError, match="accuracy: the predictions have NaN"):
        Accuracy().update(one, targets, [2, 2])
    padded = Accuracy(ignore=9)
    padded.update(one, targets, [1, 2])
    padded.update(one, [[0, 0], [9, 0]])
    assert padded.value() == 1


# ---- spans in batches


@pytest.mark.parametrize("as_logits", [False, True])
def test_span_f1_of_batches(as_logits):
    tags = Vocabulary(["O", "B-PER", "I-PER", "B-LOC"], specials=["pad"])
    gold = [["B-PER", "I-PER", "O"], ["B-LOC"], ["O", "B-PER"]]
    guess = [["B-PER", "I-PER", "B-LOC"], ["B-LOC"], ["<pad>", "I-PER"]]
    metric = SpanF1(tags)
    for rows in ([0, 1], [2]):
        steps = max(len(gold[row]) for row in rows)
        pad = [[*tags.encode(s[row]), *[tags.pad] * (steps - len(s[row]))]
               for s in (guess, gold) for row in rows]  # fmt: skip
        both = np.array(pad).reshape(2, len(rows), steps)
        predicted, targets = both[0].T, both[1].T
        predicted = np.eye(len(tags))[predicted] if as_logits else predicted
        metric.update(predicted, targets, [len(gold[row]) for row in rows])
    expected = span_scores([["B-PER", "I-PER", "B-LOC"], ["B-LOC"], ["O", "I-PER"]], gold)
    assert metric.counts == expected
    assert metric.value() == pytest.approx(2 * 0.75 * 1 / 1.75)
    with pytest.raises(ValueError, match="tag '<pad>'"):
        metric.update([[1]], [[0]])
    with pytest.raises(ValueError, match=r"expected targets \(T, B\), got \(2,\)"):
        metric.update([0, 1], [0, 1])


# ---- BLEU


def test_bleu_against_its_definition():
    pytest.importorskip("sacrebleu")
    hypotheses = ["the cat sat on the mat .", "there is a dog here"]
    references = ["the cat sat on a mat .", "there is one dog here"]
    logs = []
    for n in range(1, 5):
        right = total = 0
        for ours, theirs in zip(hypotheses, references, strict=True):
            grams = [[tuple(s.split()[i : i + n]) for i in range(len(s.split()) - n + 1)]
                     for s in (ours, theirs)]  # fmt: skip
            total += len(grams[0])
            right += sum(min(grams[0].count(g), grams[1].count(g)) for g in set(grams[0]))
        logs.append(math.log(right / total))
    expected = 100 * math.exp(sum(logs) / 4)  # the lengths are equal: no penalty
    assert bleu(hypotheses, references) == pytest.approx(expected)
    assert bleu(hypotheses, hypotheses) == pytest.approx(100)
    several = [[one, other] for one, other in zip(references, hypotheses, strict=True)]
    assert bleu(hypotheses, several) == pytest.approx(100)
    metric = BLEU(lowercase=True)
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        metric.update([hypothesis.upper()], [reference])
    assert metric.value() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("predicted", "targets", "said"),
    [
        ([0, 3], [0, 0], "prediction 3 is none of the 3 tags"),
        ([0, -1], [0, 0], "prediction -1 is none"),
        ([0, 7], [0, 0], "prediction 7 is none of the 3 tags"),
        ([0, 1], [0, 7], "target 7 is none of the 3 tags"),
        ([0, 1], [0, -100], "target -100 is none of the 3 tags; padding\\? give the lengths"),
    ],
)
def test_classes_without_a_tag_are_no_spans(predicted, targets, said):
    metric = SpanF1(["O", "B-X", "I-X"])
    ours, gold = np.array(predicted)[:, None], np.array(targets)[:, None]
    with pytest.raises(ValueError, match=f"span_f1: {said}"):
        metric.update(ours, gold)
    metric.reset()
    metric.update(ours, gold, [1])  # what is after the length does not count
    assert metric.counts.tags == 1


def test_a_batch_with_a_fault_in_a_later_row_counts_for_nothing():
    metric = SpanF1(["O", "B-X", "?"])
    metric.update([[1, 0]], [[1, 1]])
    before = metric.value()
    assert before == pytest.approx(2 / 3)
    for wrong, error in (([[1, 5]], ValueError), ([[1.0, 0.5]], TypeError)):
        with pytest.raises(
            error, match=r"span_f1: (prediction 5|expected predictions as integers)"
        ):
            metric.update(wrong, [[1, 1]])
        with pytest.raises(error, match=r"span_f1: (target 5|expected targets as integers)"):
            metric.update([[1, 1]], wrong)
    with pytest.raises(ValueError, match="tag '\\?'"):
        metric.update([[1, 1]], [[1, 2]])
    assert metric.value() == before
    assert metric.counts.tags == 2


def test_faults_in_bleu():
    with pytest.raises(ValueError, match="bleu: 1 hypotheses for 0 references"):
        BLEU().update(["a"], [])
    for wrong in (("abc", ["a", "b", "c"]), (["a", "b", "c"], "abc"), ("abc", "abc")):
        with pytest.raises(TypeError, match=r"bleu: .* are one text, 'abc'; give a list of texts"):
            BLEU().update(*wrong)
    pytest.importorskip("sacrebleu")
    with pytest.raises(
        TypeError, match=r"bleu: a hypothesis is \['a', 'b'\], expected a text; join"
    ):
        bleu([["a", "b"]], ["a b"])
    with pytest.raises(TypeError, match="bleu: hypotheses are one text"):
        bleu("abc", "abc")
    with pytest.raises(ValueError, match="bleu: 1 hypotheses for 2 references"):
        bleu(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="bleu: 0 hypotheses"):
        bleu([], [])
    for wrong in ([["a"], ["a", "b"]], [[], []]):
        with pytest.raises(ValueError, match="expected as many for each"):
            bleu(["a", "b"], wrong)


def test_bleu_without_sacrebleu(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(ImportError, match=r"bleu needs the package sacrebleu: pip install sacrebl"):
        bleu(["a"], ["a"])


def test_optional_packages_are_not_imported_unasked():
    code = (
        "import sys, rnn.data, rnn.metrics\n"
        "print([m for m in ('tokenizers', 'sacrebleu', 'cupy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
