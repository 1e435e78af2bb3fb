"""Shade a text by how far each of its characters moves a logit: numbers, picture, page.

In reading order: `norms.py` computes, `looks.py` makes every character visible and gives it a
colour, `scene.py` draws one time step, `page.py` all of them, `drawing.py` is what is called.
"""
