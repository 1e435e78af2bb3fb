"""A text shaded by how far each of its characters moves a logit: numbers, picture, page.

In reading order: `norms.py` computes, `pieces.py` makes every character visible, `shades.py` gives
it a colour, `scene.py` draws one time step, `page.py` all of them, `drawing.py` is what is called.
"""
