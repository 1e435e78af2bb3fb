"""Hold the parts that derivatives are made of, and the functions that are made of derivatives.

In reading order: `seeds.py` starts a pass, `multi_output.py` and `accumulation.py` hold gradients
under way and `reachability.py` walks the graph, for `engine/backward.py`; `transforms.py` and
`forward_mode.py` have `grad`, `vjp`, `jvp` and `jacobian`; `gradcheck.py` checks them;
`checkpoint.py` computes again, `cut_gradients.py` leaves uses out, `norms.py` measures.
"""
