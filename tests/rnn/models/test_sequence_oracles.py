"""Compare sequence work with oracles written from its promises alone, on many small random cases.

Every test draws its own shapes, lengths, dtypes and settings, the corners among them: one row, one
step, empty rows, beams wider than the tree. Each oracle is enumeration or a loop.
"""

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest

import engine
import rnn
from rnn.data import (
    Batches,
    MappedText,
    Streams,
    TokenizerVocabulary,
    Vocabulary,
    characters,
    read_conll,
    read_pairs,
    read_table,
    read_vectors,
    text_blocks,
)
from rnn.decoding import (
    beam_search,
    ctc_beam_search,
    ctc_decode,
    decode,
    nucleus,
    sample,
    sample_rows,
    top_k,
)
from rnn.metrics import BLEU, SpanF1, bleu
from rnn.models import CRF, Attention, Decoder, Encoder, OutputRecurrent, Seq2Seq
from tests.draws import covering, crossed, first

RTOL = {"float32": 2e-4, "float64": 1e-9}


def drawn(*key: int) -> np.random.Generator:
    return np.random.default_rng([2026, *key])


def log_normal(x: np.ndarray) -> np.ndarray:
    """Return logits as log probabilities."""
    x = x - x.max(-1, keepdims=True)
    return np.asarray(x - np.log(np.exp(x).sum(-1, keepdims=True)))


def log_sum(values: Any) -> float:
    v = np.array(list(values))
    return float(v.max() + math.log(np.exp(v - v.max()).sum()))


# ---- CRF


def paths_of(model: CRF, e: np.ndarray) -> dict[tuple[int, ...], float]:
    """Return the score of every tag sequence over emissions (T, K)."""
    a, start, stop = (x.numpy() for x in (model.transitions, model.start, model.stop))
    return {
        path: start[path[0]] + stop[path[-1]] + sum(e[t, k] for t, k in enumerate(path))
        + sum(a[i, j] for i, j in itertools.pairwise(path))
        for path in itertools.product(range(e.shape[1]), repeat=len(e))
    }  # fmt: skip


@pytest.mark.parametrize(("number", "dtype"), covering(range(6), ["float32", "float64"]))
def test_a_crf_sums_and_maximises_over_all_paths_with_any_padding(number, dtype):
    rng = drawn(1, number)
    T, B, K = (int(rng.integers(1, top)) for top in (6, 4, 5))
    lengths = rng.integers(1, T + 1, B)
    model = CRF(K)
    for name in ("transitions", "start", "stop"):
        values = rng.normal(size=getattr(model, name).shape) * 3
        setattr(model, name, engine.asarray(values.astype(dtype), requires_grad=True))
    e = (rng.normal(size=(T, B, K)) * 3).astype(dtype)
    e[np.arange(T)[:, None] >= lengths] = np.nan
    total, marginals = model.log_partition(e, lengths), model.marginals(e, lengths).numpy()
    tags, best = (x.numpy() for x in model.viterbi(e, lengths))
    assert str(total.dtype).endswith(dtype)
    for b, n in enumerate(lengths):
        scores = paths_of(model, e[:n, b])
        np.testing.assert_allclose(total.numpy()[b], log_sum(scores.values()), rtol=RTOL[dtype])
        np.testing.assert_allclose(best[b], max(scores.values()), rtol=RTOL[dtype], atol=1e-5)
        np.testing.assert_allclose(scores[tuple(tags[:n, b])], best[b], rtol=RTOL[dtype], atol=1e-5)
        expected = np.zeros((T, K))
        for path, score in scores.items():
            expected[range(n), path] += math.exp(score - log_sum(scores.values()))
        np.testing.assert_allclose(marginals[:, b], expected, atol=RTOL[dtype])
        assert not tags[n:, b].any()


def test_an_impossible_emission_takes_its_paths_out_and_gets_no_gradient():
    rng = drawn(2)
    model, e = CRF(3), rng.normal(size=(3, 1, 3))
    e[0, 0, 1] = e[2, 0, 0] = -np.inf
    x = engine.asarray(e, requires_grad=True)
    total = engine.sum(model.log_partition(x))
    total.backward()
    scores = paths_of(model, e[:, 0])
    expected = np.zeros((3, 3))
    for path, score in scores.items():
        expected[range(3), path] += math.exp(score - log_sum(scores.values()))
    np.testing.assert_allclose(total.item(), log_sum(scores.values()), rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy()[:, 0], expected, atol=1e-6)


# ---- CTC


def forward_ctc(frames: np.ndarray, labels: list[int], blank: int) -> float:
    """Return -log p by the recursion of Graves et al. (2006), a loop over states."""
    states = [blank, *itertools.chain.from_iterable((k, blank) for k in labels)]
    y, a = np.exp(frames.astype("float64")), np.zeros(len(states))
    for t in range(len(y)):
        before, a = a, np.zeros(len(states))
        for s, k in enumerate(states):
            skip = s > 1 and k not in (blank, states[s - 2])
            into = before[s] + (before[s - 1] if s else 0) + (before[s - 2] if skip else 0)
            a[s] = (into if t else float(s < 2)) * y[t, k]
    p = a[-2:].sum()
    return -math.log(p) if p else math.inf


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ctc_is_its_recursion_on_random_rows(dtype):
    for number in range(40):
        rng = drawn(3, number)
        T, B, V, S = (int(rng.integers(*ends)) for ends in ((1, 15), (1, 5), (2, 5), (0, 6)))
        blank = int(rng.integers(V))
        x = log_normal(rng.normal(size=(T, B, V)) * rng.choice([0.1, 1, 5])).astype(dtype)
        y = rng.choice([v for v in range(V) if v != blank], (B, S)).astype(int)
        frames, counts = rng.integers(1, T + 1, B), rng.integers(0, S + 1, B)
        found = engine.ctc_loss(x, y, frames, counts, blank=blank, reduction="none")
        expected = [
            forward_ctc(x[:n, b], y[b, :m].tolist(), blank)
            for b, (n, m) in enumerate(zip(frames, counts, strict=True))
        ]
        np.testing.assert_allclose(found.numpy(), expected, rtol=RTOL[dtype], atol=RTOL[dtype])


def test_ctc_and_its_gradient_are_pytorchs_on_random_rows():
    torch = pytest.importorskip("torch")
    for number in range(40):
        rng = drawn(4, number)
        T, B, V, S = (int(rng.integers(*ends)) for ends in ((1, 9), (1, 5), (2, 5), (0, 5)))
        dtype, blank = ("float32", "float64")[number % 2], int(rng.integers(V))
        z = rng.normal(size=(T, B, V)).astype(dtype)
        y = rng.choice([v for v in range(V) if v != blank], (B, S)).astype(int)
        frames, counts = rng.integers(1, T + 1, B), rng.integers(0, S + 1, B)
        ours, theirs = engine.asarray(z, requires_grad=True), torch.tensor(z, requires_grad=True)
        options = {"blank": blank, "reduction": "mean", "zero_infinity": True}
        found = engine.ctc_loss(engine.log_softmax(ours), y, frames, counts, **options)
        expected = torch.nn.functional.ctc_loss(
            theirs.log_softmax(-1), *map(torch.tensor, (y, frames, counts)), **options
        )
        found.backward()
        expected.backward()
        np.testing.assert_allclose(found.item(), expected.item(), rtol=RTOL[dtype], atol=1e-6)
        np.testing.assert_allclose(
            ours.grad.numpy(), theirs.grad.numpy(), rtol=RTOL[dtype], atol=1e-5
        )


@pytest.mark.parametrize("number", range(8))
def test_all_labels_are_found_with_their_probabilities(number):
    rng = drawn(5, number)
    T, B, V = (int(rng.integers(1, top)) for top in (5, 4, 4))
    blank, lengths = int(rng.integers(V)), rng.integers(0, T + 1, B)
    x = log_normal(rng.normal(size=(T, B, V)))
    found = ctc_beam_search(x, lengths, blank=blank, width=1000, n_best=1000)
    for b, n in enumerate(lengths):
        p: dict[tuple[int, ...], float] = {}
        for path in itertools.product(range(V), repeat=int(n)):
            labels = tuple(k for k, _ in itertools.groupby(path) if k != blank)
            p[labels] = p.get(labels, 0.0) + math.exp(sum(x[t, b, k] for t, k in enumerate(path)))
        assert {tuple(one.indices) for one in found[b]} == set(p)
        assert len(found[b]) == len(p)
        for one in found[b]:
            assert math.isclose(math.exp(one.score), p[tuple(one.indices)], rel_tol=1e-9)
        best = [k for k, _ in itertools.groupby(x[:n, b].argmax(-1)) if k != blank]
        assert ctc_decode(x, lengths, blank=blank)[b] == best


def test_a_narrow_search_over_prefixes_is_sorted_and_blind_to_other_rows():
    x, lengths = log_normal(drawn(6).normal(size=(12, 4, 5))), [12, 3, 7, 1]
    for width in (1, 2, 5):
        found = ctc_beam_search(x, lengths, width=width, n_best=width)
        for b, n in enumerate(lengths):
            assert found[b] == ctc_beam_search(x[:n, b : b + 1], width=width, n_best=width)[0]
            assert [one.score for one in found[b]] == sorted(o.score for o in found[b])[::-1]
            assert len({tuple(one.indices) for one in found[b]}) == len(found[b])


# ---- beams, over models that remember all they have read


class Remembering:
    """Give logits that follow from everything read, kept in the state: its count and indices."""

    def __init__(self, V: int, seed: int, ties: bool = False) -> None:
        self.V, self.seed, self.ties = V, seed, ties

    def state(self, rows: int) -> engine.Tensor:
        return engine.zeros((rows, 12), dtype=engine.int64)

    def log_p(self, read: tuple[int, ...]) -> np.ndarray:
        rng = drawn(7, self.seed, len(read), *read)
        return log_normal(
            rng.integers(0, 2, self.V) * 1.0 if self.ties else rng.normal(size=self.V)
        )

    def __call__(self, indices: Any, state: Any) -> Any:
        memory = np.array(state.numpy())
        for row, index in zip(memory, np.asarray(engine.asarray(indices).numpy()), strict=True):
            row[0] += 1
            row[row[0]] = index
        logits = np.stack([self.log_p(tuple(row[1 : row[0] + 1].tolist())) for row in memory])
        return engine.asarray(logits), engine.asarray(memory)

    def value(self, start: int, indices: list[int]) -> float:
        read = (start, *indices)
        return sum(float(self.log_p(read[:i])[read[i]]) for i in range(1, len(read)))


def every(model: Remembering, start: int, end: int, limit: int, alpha: float) -> list[Any]:
    """Return all sequences as (score, log p, indices, ended), best first."""
    others, found = [i for i in range(model.V) if i != end], []
    for n in range(limit + 1):
        for one in itertools.product(others, repeat=n):
            ended = n < limit
            p = model.value(start, [*one, end] if ended else list(one))
            found.append((p / ((5 + n + ended) / 6) ** alpha, p, list(one), ended))
    return sorted(found, key=lambda x: (-x[0], x[2]))


@pytest.mark.parametrize("ties", first(1, [True, False]))
def test_a_beam_wider_than_the_tree_is_an_exhaustive_search(ties):
    for number in range(40):
        rng = drawn(8, number)
        V, limit, rows = (int(rng.integers(1, 5)) for _ in range(3))
        end, alpha = int(rng.integers(V)), float(rng.choice([0, 0.6, 1, 2, 5]))
        model, starts, n = Remembering(V, number, ties), rng.integers(V, size=rows), 1 + number % 9
        found = beam_search(model, starts, model.state(rows), end=end, limit=limit,
                            width=V**limit + 9, alpha=alpha, n_best=n)  # fmt: skip
        for start, row in zip(starts.tolist(), found, strict=True):
            expected = every(model, start, end, limit, alpha)[:n]
            assert len(row) == len(expected)
            np.testing.assert_allclose(
                [(one.score, one.log_probability) for one in row], [x[:2] for x in expected],
                rtol=1e-12, atol=1e-12,
            )  # fmt: skip
            if not ties:
                assert [(o.indices, o.ended) for o in row] == [(x[2], x[3]) for x in expected]
            for one, other in itertools.pairwise(row):
                assert one.score > other.score or one.indices < other.indices


def test_what_a_narrow_beam_returns_has_the_score_that_it_says():
    for number in range(20):
        model, width = Remembering(4, number, ties=number % 2 == 0), 1 + number % 5
        options = {"end": 3, "limit": 6, "width": width, "alpha": 0.7, "n_best": width}
        found = beam_search(model, [0, 1, 2], model.state(3), **options)
        for start, row in enumerate(found):
            assert row == beam_search(model, [start], model.state(1), **options)[0]
            for one in row:
                written = [*one.indices, 3] if one.ended else one.indices
                p = model.value(start, written)
                assert math.isclose(one.log_probability, p, rel_tol=1e-12)
                assert math.isclose(one.score, p / ((5 + len(written)) / 6) ** 0.7, rel_tol=1e-12)
            assert len({(tuple(one.indices), one.ended) for one in row}) == len(row)


def test_an_end_at_the_first_step_is_an_empty_sequence():
    def ends(indices, state):
        return engine.asarray(np.tile([0.0, -np.inf, -np.inf], (len(indices), 1))), state

    assert decode(ends, [1, 2], end=0, limit=4) == [[], []]
    for row in beam_search(ends, [1, 2], end=0, limit=4, n_best=3):
        assert [(one.indices, one.score, one.ended) for one in row] == [([], 0.0, True)]


# ---- sampling


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(log_normal(x))


def by_hand(logits: np.ndarray, temperature: float, k: int | None, p: float | None) -> np.ndarray:
    """Return the probabilities to draw by: temperature, the k largest, then their nucleus."""
    order = np.argsort(-logits, kind="stable")
    out = np.zeros(len(logits))
    out[order[:k]] = softmax(logits[order[:k]] / temperature)
    if p is not None:
        n = int(np.searchsorted(np.cumsum(out[order]), p)) + 1
        out[order[n:]] = 0
    return np.asarray(out / out.sum())


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize(("k", "p"), [(None, None), (3, None), (5, None), (99, None), (None, 0.72),
                                      (None, 1.0), (3, 0.86)])  # fmt: skip
def test_frequencies_are_the_probabilities_of_all_settings_together(temperature, k, p):
    engine.seed(0)
    logits, n = np.log([0.15, 0.4, 0.05, 0.3, 0.1]), 4000
    expected = by_hand(logits, temperature, k, p) * n
    rows = engine.asarray(np.tile(logits, (n, 1)))
    found = np.bincount(
        sample_rows(rows, temperature, top_k=k, top_p=p, key=("frequencies",)), minlength=5
    )
    assert not found[expected == 0].any()
    some = expected > 0
    assert ((found - expected)[some] ** 2 / expected[some]).sum() < 23.5  # chi-square(4), p = 1e-4


def test_settings_that_leave_all_or_one_index():
    rng = drawn(9)
    for _ in range(20):
        logits = rng.normal(size=7)
        x = engine.asarray(logits)
        assert top_k(x, 7).numpy().tolist() == top_k(x, 70).numpy().tolist() == logits.tolist()
        assert nucleus(x, 1.0).numpy().tolist() == logits.tolist()
        best = int(logits.argmax())
        assert np.isfinite(nucleus(x, 1e-6).numpy()).nonzero()[0].tolist() == [best]
        for options in ({"temperature": 0}, {"temperature": 1e-6}, {"top_k": 1}, {"top_p": 1e-6}):
            assert sample(x, **options) == best


def test_an_endless_temperature_is_uniform():
    engine.seed(0)
    rows = engine.asarray(np.tile([0.0, 9.0, 1.0, -50.0], (2000, 1)))
    found = np.bincount(sample_rows(rows, math.inf, key=("uniform",)), minlength=4)
    assert ((found - 500) ** 2 / 500).sum() < 21.2  # chi-square(3), p = 1e-4


# ---- models


@pytest.mark.parametrize(
    ("score", "cell"), first(1, crossed(["additive", None, "dot", "general"], ["lstm", "gru"]))
)
def test_beams_of_a_batch_have_the_probability_that_teacher_forcing_gives(cell, score):
    engine.seed(0)
    rng, lengths = drawn(10), [2, 5, 1]
    attention = None if score is None else Attention(6, 6, score)
    decoder = Decoder(7, 4, 6, cell=cell, attention=attention)
    model = Seq2Seq(Encoder(8, 4, 3, cell=cell, bidirectional=True), decoder, start=1, end=1, pad=0)
    x = rng.integers(1, 8, (5, 3))
    options = {"end": 1, "limit": 4, "width": 6, "n_best": 3, "alpha": 0.8}
    found = beam_search(decoder.advance, [1] * 3, model.begin(x, lengths), **options)
    for b, n in enumerate(lengths):
        row = x[:n, b : b + 1]
        alone = beam_search(decoder.advance, [1], model.begin(row), **options)[0]
        assert [one.indices for one in alone] == [one.indices for one in found[b]]
        for one in found[b]:
            y = np.array([*one.indices, 1] if one.ended else one.indices)
            log_p = log_normal(model(row, None, y[:, None]).numpy()[:, 0])
            p = log_p[np.arange(len(y)), y].sum()
            assert math.isclose(one.log_probability, p, rel_tol=1e-4)


def test_a_jordan_network_is_its_equations_teacher_forced_and_free():
    engine.seed(0)
    rng, cell = drawn(11), rnn.JordanCell(3, 5, 2)
    x, target = (rng.normal(size=(6, 2, n)).astype("f") for n in (3, 2))
    w = {name: p.numpy().astype("float64") for name, p in cell.named_parameters()}
    for forced in (True, False):
        y, expected = np.zeros((2, 2)), []
        for t in range(6):
            h = np.tanh(x[t] @ w["weight_ih"].T + y @ w["weight_yh"].T + w["bias_h"])
            expected.append(h @ w["weight_ho"].T + w["bias_o"])
            y = target[t] if forced else expected[-1]
        found = OutputRecurrent(cell)(x, target if forced else None, [3, 6]).numpy()
        assert not found[3:, 0].any()
        np.testing.assert_allclose(found[:3, 0], np.array(expected)[:3, 0], atol=1e-5)
        np.testing.assert_allclose(found[:, 1], np.array(expected)[:, 1], atol=1e-5)


# ---- data


ODD = ["", "\n", "\r\n", '"', "'", " ", "\t", "\\", "\\n", "e\u0301", "\U0001f600", "\u2028", "\0",
       "\ufeff", "\x85", "a b", '{"', "null", "\u200b", "\u0661", "\x7f"]  # fmt: skip


def test_odd_tokens_are_saved_and_loaded(tmp_path):
    v = Vocabulary(ODD)
    v.save(tmp_path / "v.json")
    found = Vocabulary.load(tmp_path / "v.json")
    assert found.tokens == v.tokens
    assert found.decode(found.encode(ODD)) == ODD
    assert len({found.index(token) for token in ODD}) == len(ODD)


def test_readers_name_the_line_of_the_file_behind_crlf_and_marks(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffa,"b\r\nx, ""y"""\r\n\r\nc,d\r\ne\r\n'.encode())
    rows = read_table(path)
    assert [next(rows), next(rows)] == [("a", 'b\nx, "y"'), ("c", "d")]
    with pytest.raises(ValueError, match=r"a\.csv, line 5: 1 columns, expected 2"):
        next(rows)
    path = tmp_path / "a.tsv"
    path.write_bytes('\ufeff"ein\teins\u2028\r\n \t\r\nzwei\r\n'.encode())
    pairs = read_pairs(path)
    assert next(pairs) == ('"ein', "eins\u2028")
    with pytest.raises(ValueError, match=r"a\.tsv, line 3: 1 columns, expected 2"):
        next(pairs)
    path = tmp_path / "a.conll"
    path.write_bytes("\ufeff-DOCSTART- -X- O\r\n\r\nEU NNP B-ORG\r\n\r\n\r\nx O\r\n".encode())
    sentences = read_conll(path, columns=(0, -1))
    assert next(sentences) == (("EU",), ("B-ORG",))
    with pytest.raises(ValueError, match=r"a\.conll, line 6: 2 columns, expected 3"):
        next(sentences)


def test_vectors_of_tokens_with_every_kind_of_space(tmp_path):
    tokens = [
        "the",
        ". . .",
        "at name@domain.com",
        "\u00a0",
        "\u3000",
        "a\u00a0b",
        "\x85",
        "\u2028",
    ]
    values = drawn(12).normal(size=(len(tokens), 3)).astype("float32")
    lines = [
        f"{t} " + " ".join(map(repr, row)) for t, row in zip(tokens, values.tolist(), strict=True)
    ]
    for head, end in (("", "\n"), (f"{len(tokens)} 3\n", "\n"), ("\ufeff", "\r\n")):
        path = tmp_path / "v.txt"
        path.write_bytes((head + end.join(lines)).encode())
        found = read_vectors(path)
        assert found.tokens == tuple(tokens)
        np.testing.assert_array_equal(found.values, values)


@pytest.mark.parametrize("number", range(60))
def test_every_example_is_whole_once_an_epoch_and_a_state_goes_on(number):
    rng = drawn(13, number)
    count = int(rng.integers(1, 20))
    x, y = (
        [rng.integers(1, 9, rng.integers(0, top)).tolist() for _ in range(count)] for top in (12, 7)
    )
    options: dict[str, Any] = {
        "bucket": (8, 1, 3)[number % 3],
        "shuffle": number % 2 == 0,
        "seed": number,
    }
    most = int(rng.integers(12, 60))
    options.update({"max_tokens": most} if number % 5 else {"batch_size": 1 + number % 7})
    data = Batches(x, y, **options)
    epoch = list(data)
    assert sorted(r for batch in epoch for r in batch.rows.tolist()) == list(range(count))
    assert len(epoch) == len(data)
    for batch in epoch:
        for b, row in enumerate(batch.rows):
            for given, padded, lengths in (
                (x, batch.x, batch.lengths), (y, batch.y, batch.y_lengths),
            ):  # fmt: skip
                assert lengths[b] == len(given[row])
                assert padded[:, b].tolist() == given[row] + [0] * (len(padded) - len(given[row]))
        if "max_tokens" in options:
            assert max(batch.x.size, batch.y.size) <= most
    again, at = iter(data), int(rng.integers(len(data)))
    for _ in range(at):
        next(again)
    state, rest = json.loads(json.dumps(data.state())), [b.rows.tolist() for b in again]
    other = Batches(x, y, **options)
    other.restore(state)
    assert [b.rows.tolist() for b in other] == rest
    assert [b.rows.tolist() for b in other] == [b.rows.tolist() for b in data]


def test_text_under_a_map_is_the_text_with_its_mark_and_line_ends(tmp_path):
    text = "a\r\nb\u2028\U0001f600\u00e9\0\ufeff" * 1500 + "end"
    path = tmp_path / "text"
    path.write_bytes(("\ufeff" + text).encode())  # the mark at the start is none of the text
    v = Vocabulary.of(map(characters, text_blocks(path)))
    mapped, rng = MappedText(path, v), drawn(14)
    whole = v.encode(text)
    assert len(mapped) == len(text)
    for a, b in rng.integers(-len(text) - 9, len(text) + 9, (200, 2)).tolist():
        assert mapped[a:b].tolist() == whole[a:b].tolist()
    ours, theirs = (Streams(t, batch_size=7, steps=333) for t in (mapped, whole))
    for one, other in zip(ours, theirs, strict=True):
        assert one.x.tolist() == other.x.tolist()
        assert one.y.tolist() == other.y.tolist()


def test_a_byte_level_tokeniser_gives_back_every_text():
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        special_tokens=["[PAD]", "[UNK]", "[BOS]", "[EOS]"], show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    made.train_from_iterator(["hello world"] * 5, trainer)
    v = TokenizerVocabulary(made)
    for text in ("", "hello", '\u00e9\U0001f600 \r\n"x"', "\u65e5\u672c", "  a "):
        ids = v.encode(text, bos=True, eos=True)
        assert ids.tolist() == [v.bos, *made.encode(text).ids, v.eos]
        assert v.decode(v.encode(text)) == text
        assert v.decode([*ids, 5, 6], clean=True) == text


# ---- metrics


def chunks(tags: list[str]) -> set[tuple[int, int, str]]:
    """Return the spans that conlleval sees in a sentence, by its two questions for each tag."""
    found, (before, kind), first = set(), ("O", ""), 0
    for t, tag in enumerate([*tags, "O"]):
        letter, _, name = tag.partition("-")
        inside = letter != "O" and before != "O"
        if before != "O" and (letter in "BSO" or before in "ES" or (inside and name != kind)):
            found.add((first, t, kind))
        if letter != "O" and (letter in "BS" or before in "ESO" or (inside and name != kind)):
            first = t
        before, kind = letter, name
    return found


@pytest.mark.parametrize("letters", ["I", "BI", "IE", "BIES"])
def test_span_f1_of_batches_with_empty_rows_counts_as_conlleval(letters):
    names = ["O", *(f"{a}-{kind}" for a in letters for kind in ("X", "Y-Z"))]
    for number in range(30):
        rng, metric, counts = drawn(15, number), SpanF1(names), np.zeros(3)
        for T, B in rng.integers(1, 9, (3, 2)).tolist():
            lengths, gold = rng.integers(0, T + 1, B), rng.integers(len(names), size=(T, B))
            guess = np.where(rng.random((T, B)) < 0.7, gold, rng.integers(len(names), size=(T, B)))
            metric.update(guess, gold, lengths)
            for b, n in enumerate(lengths):
                one, other = (chunks([names[i] for i in x[:n, b]]) for x in (guess, gold))
                counts += len(one & other), len(one), len(other)
        if counts[1:].any():
            assert math.isclose(metric.value(), 2 * counts[0] / counts[1:].sum())


@pytest.mark.parametrize("options", [{}, {"lowercase": True}, {"tokenize": "char"},
                                     {"smooth_method": "floor", "smooth_value": 0.1}])  # fmt: skip
def test_bleu_is_sacrebleus_with_its_options_and_over_batches(options):
    sacrebleu = pytest.importorskip("sacrebleu")
    written = ["the cat sat on the mat", "Ein Haus , rot !", "", "x", "\u65e5\u672c \u8a9e"]
    right = ["the cat is on the mat", "Ein Haus, rot!", "leer", "x", "\u65e5\u672c\u8a9e"]
    other = ["a cat sat on mat", "Ein rotes Haus", "nichts", "y", "\u8a9e"]
    score = sacrebleu.corpus_bleu(written, [right], **options).score
    assert bleu(written, right, **options) == score
    both = sacrebleu.corpus_bleu(written, [right, other], **options).score
    assert bleu(written, list(zip(right, other, strict=True)), **options) == both != score
    metric = BLEU(**options)
    for part in (slice(2), slice(2, None)):
        metric.update(written[part], right[part])
    assert metric.value() == score
