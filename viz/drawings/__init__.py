"""Draw pictures of graphs, a file each. Above the rendering.

Read `plain.py` (rolled, unrolled, gradients), `bptt_path.py` with its window and numbers,
`truncation.py` with what it loses, `double_backward.py`, `forensics.py`, `differences.py`.
"""
