"""Run surnames, sentiment, entities, translation: they learn, repeat themselves, split honestly.

All on their generated data, or on files of their formats that are made here.
"""

import gzip
import re
from collections import Counter

import numpy as np
import pytest

import engine
from examples import entities, sentiment, surnames, translation
from tests.draws import first
from tests.examples.shortened import shorten

EXAMPLES = {one.__name__.rpartition(".")[2]: one
            for one in (surnames, sentiment, entities, translation)}  # fmt: skip
RESULT = ["name", "figures", "seconds", "steps", "curve", "seed", "settings"]


def parsed(example, *arguments):
    return example.parse(["--fast", "--threads", "1", *arguments])


@pytest.fixture(scope="module")
def results():
    return {name: one.run(parsed(one)) for name, one in EXAMPLES.items()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_result_is_plain_numbers(results, name):
    found = results[name]
    assert list(found) == RESULT
    assert found["name"] == name
    assert found["seed"] == 0
    assert found["steps"] > 0
    assert found["seconds"] > 0
    assert all(type(value) is float for value in found["figures"].values())
    assert all(0 < step <= found["steps"] for step, _ in found["curve"])
    assert len(found["curve"]) == found["settings"]["epochs"]


def test_each_beats_its_baseline(results):
    own = {name: found["figures"] for name, found in results.items()}
    assert own["surnames"]["accuracy"] > own["surnames"]["most frequent"] + 0.3
    assert own["sentiment"]["accuracy"] > own["sentiment"]["most frequent"] + 0.3
    assert own["entities"]["crf"] > own["entities"]["dictionary"] + 0.3
    assert own["entities"]["softmax"] > own["entities"]["dictionary"] + 0.3
    assert own["translation"]["accuracy"] > 0.9
    assert own["translation"]["exact"] > 0.5


def test_translations_beat_the_memory(results):
    pytest.importorskip("sacrebleu")
    own = results["translation"]["figures"]
    assert own["greedy bleu"] > own["nearest bleu"] + 30
    assert own["beam bleu"] > own["nearest bleu"] + 30


def test_without_sacrebleu_there_are_the_other_metrics(monkeypatch, capsys):
    def missing(*texts, **options):
        raise ImportError("bleu needs the package sacrebleu")

    monkeypatch.setattr(translation, "bleu", missing)
    found = translation.run(parsed(translation, "--epochs", "1"))
    assert list(found["figures"]) == ["accuracy", "exact"]
    assert "no BLEU: bleu needs the package sacrebleu" in capsys.readouterr().out


def test_the_best_epoch_is_the_one_that_is_kept(results):
    for name, figure in (("surnames", "validation accuracy"), ("sentiment", "validation accuracy"),
                         ("entities", "crf validation")):  # fmt: skip
        found = results[name]
        assert found["figures"][figure] == max(value for _, value in found["curve"])


@pytest.mark.parametrize("name", first(1, EXAMPLES))
def test_the_same_seed_gives_the_same_numbers(name, monkeypatch):
    example = EXAMPLES[name]
    shorten(example, monkeypatch, every=4)
    one, two = (example.run(parsed(example, "--epochs", "2", "--seed", "3")) for _ in range(2))
    for found in (one, two):
        del found["seconds"]
    assert one == two


def test_another_seed_gives_others():
    one, two = (surnames.run(parsed(surnames, "--epochs", "1", "--seed", seed)) for seed in "34")
    assert one["curve"] != two["curve"]


# ---- the command lines


@pytest.mark.parametrize("name", first(2, ["translation", "sentiment", "surnames", "entities"]))
def test_a_run_prints_its_metrics_and_writes_its_files(name, tmp_path, monkeypatch, capsys):
    example, out = EXAMPLES[name], tmp_path / "out"
    shorten(example, monkeypatch, every=4)
    arguments = ["--fast", "--epochs", "1", "--out", str(out)]
    arguments += ["--draw"] if name == "translation" else []
    assert example.main(arguments) == 0
    told = capsys.readouterr().out
    assert told.startswith("no data given: ")
    assert "\nheld out: " in told
    for folder in (out / "softmax", out / "crf") if name == "entities" else (out,):
        assert (folder / "loss.png").stat().st_size
        assert (folder / "log.jsonl").stat().st_size
        assert any((folder / "checkpoints").iterdir())
    assert example.main(arguments) == 2  # what is there is not written over
    assert "resume" in one_line(capsys, name)
    assert example.main([*arguments, "--epochs", "2", "--resume"]) == 0


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--seed", "-1"], "argument --seed: -1 is negative"),
        (["--epochs", "0"], "argument --epochs: '0' is not a positive integer"),
        (["--dropout", "1.5"], "argument --dropout: '1.5' does not lie in [0, 1)"),
        (["--lr", "nan"], "argument --lr: 'nan' is not a positive number"),
        (["--resume"], "need"),
    ],
)
def test_bad_options_are_one_line(name, arguments, text, capsys):
    with pytest.raises(SystemExit) as stopped:
        EXAMPLES[name].main(arguments)
    assert stopped.value.code == 2
    assert text in one_line(capsys, name)


@pytest.mark.parametrize("name", EXAMPLES)
def test_missing_data_is_one_line(name, tmp_path, capsys):
    assert EXAMPLES[name].main(["--data", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in one_line(capsys, name)


@pytest.mark.parametrize("ratio", ["2", "1.0001", "-0.1", "nan", "all", ""])
def test_a_ratio_out_of_range_is_one_line(ratio, capsys):
    with pytest.raises(SystemExit) as stopped:
        translation.main(["--fast", "--ratio", ratio])
    assert stopped.value.code == 2
    text = f"argument --ratio: {ratio!r} does not lie in [0, 1]\n"
    assert one_line(capsys, "translation").endswith(text)


@pytest.mark.parametrize("ratio", ["0", "0.5", "1"])
def test_a_ratio_may_be_all_or_nothing(ratio):
    assert translation.parse(["--ratio", ratio]).ratio == float(ratio)


def one_line(capsys, name):
    """Return the only complaint, which has the name of the example."""
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith(f"{name}: ")
    return error


# ---- surnames


def test_surnames_are_read_once_each_with_all_their_nations(tmp_path):
    (tmp_path / "A.txt").write_text("Abe\nOta\nAbe\n\n Abe \n", encoding="utf-8")
    (tmp_path / "B.txt").write_text("Ota\nNováková\n", encoding="utf-8")
    found = surnames.read(surnames.parse(["--data", str(tmp_path)]))
    assert found == [("Abe", "A"), ("Ota", "A"), ("Ota", "B"), ("Nováková", "B")]
    (tmp_path / "B.txt").unlink()
    with pytest.raises(ValueError, match=r"has 1 files \*.txt; expected one for each nation"):
        surnames.read(surnames.parse(["--data", str(tmp_path)]))


def test_a_nation_may_have_one_surname(tmp_path):
    for nation, names in (
        ("A", ["Abe", "Ada"] * 6),
        ("B", ["Bo"]),
        ("C", ["Cy", "Co", "Ce", "Ca", "Ci"]),
    ):
        (tmp_path / f"{nation}.txt").write_text("\n".join(names), encoding="utf-8")
    found = surnames.run(parsed(surnames, "--data", str(tmp_path), "--epochs", "1"))
    assert found["steps"] == 1


def test_no_surname_stands_in_two_parts_and_nations_are_split_alike():
    engine.seed(0)
    named = [(f"{nation}{number}", nation) for nation in "ABC" for number in range(50)]
    named += [("A7", "C"), ("B9", "A")]
    parts = surnames.split(named, 0)
    assert sorted(one for part in parts for one in part) == sorted(named)
    owners = [{name for name, _ in part} for part in parts]
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    assert not owners[1] & owners[2]
    for part, size in zip(parts, (40, 5, 5), strict=True):
        first = Counter(name[0] for name, _ in set(part) - {("A7", "C"), ("B9", "A")})
        assert first == {"A": size, "B": size, "C": size}
    assert surnames.split(named, 1) != parts


# ---- sentiment


def test_opinions_are_read_from_both_files(tmp_path):
    for name, text in zip(sentiment.FILES, ("so dull .\nbad \nso dull .\n", "fine !\n"),
                          strict=True):  # fmt: skip
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    found = sentiment.read(sentiment.parse(["--data", str(tmp_path)]))
    assert found == [(["so", "dull", "."], 0), (["bad"], 0), (["fine", "!"], 1)]


def test_opinions_are_split_by_tenths_of_each_kind():
    engine.seed(0)
    judged = [([f"w{number}"], number % 2) for number in range(200)]
    parts = sentiment.split(judged, 0)
    assert sorted(one for part in parts for one in part) == sorted(judged)
    for part, size in zip(parts, (160, 20, 20), strict=True):
        assert Counter(kind for _, kind in part) == {0: size // 2, 1: size // 2}


def test_the_textbook_stack_has_the_equations_of_the_textbook():
    options = parsed(sentiment, "--model", "textbook")
    engine.seed(0)
    words = sentiment.Vocabulary([f"w{i}" for i in range(9)], specials=["pad", "unk"])
    model = sentiment.Textbook(words, options)
    judged = [([f"w{i % 9}" for i in range(length)], length % 2) for length in (3, 15, 40)]
    batch = next(iter(sentiment.batches(judged, words, options)))
    assert batch.x.shape == (15, 3)
    assert sorted((batch.x == words.pad).sum(axis=0)) == [0, 0, 12]
    E, _, _, W1, _, W2, _, W3 = model.layers.steps
    own = {name: x.numpy().astype(np.float64) for name, x in model.layers.steps[1]
           .named_parameters()}  # fmt: skip
    h = np.zeros((3, 100))
    for ids in batch.x:
        x = E.weight.numpy()[ids]
        h = np.maximum(0, x @ own["weight_ih_l0"].T + own["bias_ih_l0"] + own["bias_hh_l0"]
                       + h @ own["weight_hh_l0"].T)  # fmt: skip
    a = 1 / (1 + np.exp(-(h @ W1.weight.numpy().T + W1.bias.numpy())))
    b = np.maximum(0, a @ W2.weight.numpy().T + W2.bias.numpy())
    assert (a.shape, b.shape) == ((3, 1000), (3, 500))
    logits = b @ W3.weight.numpy().T + W3.bias.numpy()
    np.testing.assert_allclose(model(batch.x, batch.lengths).numpy(), logits, atol=1e-4)


def test_the_textbooks_stack_is_trained_whole():
    model, *_ = sentiment.trained(
        sentiment.Parts(*(sentiment.generated()[:8],) * 3),
        parsed(sentiment, "--model", "textbook", "--epochs", "1"),
    )
    for name, x in model.named_parameters():
        assert x.grad is not None, name
        assert np.abs(x.grad.numpy()).max() > 0, name


def test_words_are_hidden_in_training_only():
    options = parsed(sentiment, "--word-dropout", "0.5", "--dropout", "0")
    words = sentiment.Vocabulary(["a", "b"], specials=["pad", "unk"])
    model = sentiment.Pooled(words, options)
    x, lengths = np.array([[2, 3], [3, 2]]), np.array([2, 2])
    drawn = [model(x, lengths).numpy() for _ in range(8)]
    assert any((one != drawn[0]).any() for one in drawn)
    model.eval()
    known = model.classifier(x, lengths).numpy()
    np.testing.assert_array_equal(model(x, lengths).numpy(), known)


# ---- entities

CONLL = "we\tO\nmet\tO\nAnn\tB-person\nLee\tI-person\n\t\n\nin\tO\nRome\tB-location\n"


@pytest.fixture
def conll(tmp_path):
    (tmp_path / "train.conll.gz").write_bytes(gzip.compress(CONLL.encode()))
    for name in entities.FILES[1:]:
        (tmp_path / name).write_text(CONLL, encoding="utf-8")
    return entities.read(entities.parse(["--data", str(tmp_path)]))


def test_sentences_are_read_with_their_tags(conll):
    first = (("we", "met", "Ann", "Lee"), ("O", "O", "B-person", "I-person"))
    second = (("in", "Rome"), ("O", "B-location"))
    assert conll == ([first, second],) * 3


def test_batches_know_words_and_their_spelling(conll):
    reader = entities.Reader.of(conll)
    x, lengths, y, *_ = next(iter(reader.batches(conll.train, 2)))
    characters, counts = reader.spelling(x)
    for column, end in enumerate(lengths):
        words = [reader.words.token(i) for i in x[:end, column, 0]]
        letters = ["".join(map(reader.letters.token, characters[: counts[t, column], t, column]))
                   for t in range(end)]  # fmt: skip
        tags = [reader.tags.token(i) for i in y[:end, column]]
        assert (tuple(letters), tuple(tags)) in conll.train
        assert words == [letter.lower() for letter in letters]
        assert not counts[end:, column].any()


def test_the_dictionary_finds_what_it_has_seen(conll):
    assert entities.seen(conll).value() == 1.0
    other = [(("Ann", "met", "Bo"), ("B-person", "O", "B-person"))]
    counts = entities.seen(conll._replace(test=other)).counts.overall
    assert counts == (2, 1, 1)


# ---- translation


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("Ça va ?", "ca va ?"),
        ("  J'ai très faim!  ", "j ai tres faim !"),
        ("Il a 19 ans; n'est-ce pas...", "il a ans n est ce pas . . ."),
        ("ŒUF", "uf"),  # what is no letter with an accent is left out, as in the tutorial
    ],
)
def test_sentences_are_normalised(sentence, words):
    assert translation.normalised(sentence) == words.split()


def test_pairs_are_read_once_french_first(tmp_path):
    path = tmp_path / "pairs.tsv.gz"
    path.write_bytes(gzip.compress("I'm OK.\tÇa va.\nI'm ok.\tCa va.\nHi.\t9\n".encode()))
    found = translation.read(translation.parse(["--data", str(path)]))
    assert found == [(["ca", "va", "."], ["i", "m", "ok", "."])]


def test_no_sentence_of_either_language_is_learned_and_held_out():
    engine.seed(0)
    pairs = [([f"f{number % 190}"], [f"e{number // 2}"]) for number in range(200)]
    parts = translation.split(pairs, 0)
    for side in (0, 1):
        train, validation, test = ({pair[side][0] for pair in part} for part in parts)
        assert not train & (validation | test)
        assert side == 0 or not validation & test
    assert len({two[0] for _, two in parts.train}) == 85  # of 100 English sentences
    assert parts.test
    assert all(pair in pairs for part in parts for pair in part)


def test_the_memory_says_what_shares_the_most_and_rarest_words():
    train = [(["a", "b"], ["one"]), (["a", "c"], ["two"]), (["a", "d", "d"], ["three"])]
    pairs = [(["a", "c", "e"], []), (["d"], []), (["x"], [])]
    assert translation.nearest(train, pairs) == ["two", "three", "one"]


def test_a_beam_of_one_is_greedy_and_the_picture_has_its_fan(tmp_path, capsys):
    engine.seed(0)
    options = parsed(translation)
    pairs = translation.generated()
    own = translation.Translator.of(pairs, options)
    own.model.eval()
    x = translation.pad_sequences([own.french.encode(one) for one, _ in pairs[:4]])
    beams = own.model.beam_search(*x, limit=translation.LIMIT, width=1)
    greedy = [" ".join(own.english.decode(best.indices)) for best, *_ in beams]
    assert own.translated(pairs[:4], 1) == greedy
    translation.draw(own, pairs[5], tmp_path)
    told = capsys.readouterr().out
    svg = (tmp_path / "attention.svg").read_text(encoding="utf-8")
    assert "attention, weight" in svg
    shares = [float(one) for one in re.findall(r"\d\.\d\d$", told, re.MULTILINE)]
    least = 1 / len(pairs[5][0])
    assert shares
    assert all(least - 0.01 <= one <= 1 for one in shares)  # the largest of weights that sum to 1
