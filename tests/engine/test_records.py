"""Read JSON and GraphML with networkx: the same graph, by the letter of both standards."""

import json
import math
import re

import networkx as nx
import numpy as np
import pytest

import viz
from tests.viz.pictures import network
from tests.viz.sketches import graph, sketch
from viz.diagram import Diagram
from viz.writers import records


@pytest.fixture(scope="module")
def diagram():
    return viz.draw_gradients(network("elman", 3), title="a <title> & more")


@pytest.fixture
def drawn():
    return Diagram(sketch(), graph())


def strict(text: str):
    """Read JSON by the letter of its standard."""

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def as_held(value):
    """Return an attribute as it is after JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}[str(value)]
    return [as_held(v) for v in value] if isinstance(value, tuple) else value


def test_json_reads_back_to_the_same_graph(drawn, tmp_path):
    data = strict(drawn.render(tmp_path / "a.json").read_text(encoding="utf-8"))
    assert data["title"] == "A sketch"
    back, made = nx.node_link_graph(data, edges="edges"), graph()
    assert isinstance(back, nx.MultiDiGraph)
    assert back.graph == {"level": "op"}
    assert list(back) == list(made)
    for n in made:
        assert back.nodes[n] == {name: as_held(v) for name, v in made.nodes[n].items()}
    for (a, b, _, mine), (c, d, key, data) in zip(
        made.edges(keys=True, data=True), back.edges(keys=True, data=True), strict=True
    ):
        assert (a, b) == (c, d)
        assert data == {name: as_held(v) for name, v in mine.items()}
        assert key == 7 or key.startswith("[")


def test_json_of_a_picture_reads_back(diagram):
    back = nx.node_link_graph(strict(records.to_json(diagram.graph, "t")), edges="edges")
    assert sorted(back.edges()) == sorted(diagram.graph.edges())
    assert [d["label"] for _, d in back.nodes(data=True)] == [
        d["label"] for _, d in diagram.graph.nodes(data=True)
    ]


def test_json_holds_any_attribute():
    made = nx.MultiDiGraph()
    made.add_node(0, a=np.float32(0.5), b=np.int64(3), c={1: (2, None)}, d={"y", "x"}, e=True,
                  f=-math.inf, id="taken", g=np.dtype("float32"), h="\ud800")  # fmt: skip
    (node,) = strict(records.to_json(made, "\udfff"))["nodes"]
    assert node == {"a": 0.5, "b": 3, "c": {"1": [2, None]}, "d": ["x", "y"], "e": True,
                    "f": "-Infinity", "id": 0, "g": "float32", "h": "\ufffd"}  # fmt: skip


def test_graphml_reads_back_with_its_types(drawn, tmp_path):
    path = drawn.render(tmp_path / "a.graphml")
    back, made = nx.read_graphml(path, node_type=int, force_multigraph=True), graph()
    assert back.is_directed()
    assert back.graph["title"] == "A sketch"
    assert back.graph["level"] == "op"
    assert list(back) == list(made)
    for n, data in made.nodes(data=True):
        held = {k: v for k, v in data.items() if v is not None}
        held |= {"shape": json.dumps(list(data["shape"])), "position": json.dumps([n * 10.0, 5])}
        assert back.nodes[n] == held
        assert {k: type(v) for k, v in back.nodes[n].items()} == {
            k: type(v) for k, v in held.items()
        }
    edges = list(back.edges(data=True))
    assert [(a, b) for a, b, _ in edges] == list(made.edges())
    assert edges[1][2]["key"] == "[1, [1, 0]]"
    assert edges[1][2]["grads"] == '[["h", 0.5], ["c", 1]]'
    dts = [d["dt"] for *_, d in edges]
    assert dts == [d["dt"] for *_, d in made.edges(data=True)]
    assert {type(dt) for dt in dts} == {float}  # one of them is
    assert math.isnan(edges[-1][2]["norm"])


def test_graphml_of_types_that_mix():
    made = nx.MultiDiGraph()
    made.add_node(0, a=1, b=True, c=2**70, d="x", e=-math.inf)
    made.add_node(1, a="one", b=2, c=1, d=None, e=1)
    text = records.to_graphml(made, "t")
    types = dict(re.findall(r'for="node" attr.name="(\w)" attr.type="(\w+)"', text))
    assert types == {"a": "string", "b": "string", "c": "string", "d": "string", "e": "double"}
    back = nx.parse_graphml(text, node_type=int)
    assert back.nodes[0] == {"a": "1", "b": "true", "c": str(2**70), "d": "x", "e": -math.inf}
    assert back.nodes[1] == {"a": "one", "b": "2", "c": "1", "e": 1.0}
    assert ">true<" in text
