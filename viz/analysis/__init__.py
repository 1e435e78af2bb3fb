"""Measure recorded graphs: norms, contributions, paths, cuts, faults, differences.

Read `measures.py` (norms of gradients), `trunks.py` and `weight_contributions.py` (what uses add to
a weight); for paths through time `dense.py`, `jacobian_hops.py`, `paths.py`, `path_numbers.py`;
`edge_jacobians.py`; for truncation `cuts.py` and `truncated_backward.py`; `first_nonfinite.py`,
`nearby.py` (the part of a graph around a node), `graph_union.py` (two graphs in one);
`sampling.py`; then `details.py` and `to_networkx.py`, which put it all on a networkx graph. Above
`viz/model`.
"""
