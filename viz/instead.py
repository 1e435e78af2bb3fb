"""Say what to write here for names of other drawing libraries. Imports the engine alone."""

from engine.suggestions import Advice

_RENDER = "diagram.render(path): .svg, .html, .png, .pdf, .dot, .json or .graphml"

NAMES = {
    **dict.fromkeys(("draw", "draw_graph", "make_dot", "plot", "show", "show_graph", "draw_bptt"),
                    "viz.draw_unrolled(loss), or one of the other viz.draw_..."),
    **dict.fromkeys(("plot_model", "model_to_dot", "draw_model", "draw_network"),
                    "viz.draw_rolled(model(x))"),
    **dict.fromkeys(("plot_history", "draw_history", "draw_loss"),
                    "viz.draw_curves(...), or rnn.training.plot_history(history, path)"),
    **dict.fromkeys(("draw_heatmap", "heatmap"), "viz.draw_jacobian_heatmap"),
}  # fmt: skip

DIAGRAMS = Advice({
    **dict.fromkeys(("save", "savefig", "write", "write_svg", "to_file", "export", "view", "to_png",
                     "to_pdf", "write_png", "pipe"), _RENDER),
    "show": "the diagram alone in the last line of a cell of a notebook, or "
    'diagram.render("picture.html") and open it', "to_svg": "diagram.svg()",
})  # fmt: skip

DRAWINGS = Advice(keywords={
    **dict.fromkeys(("path", "filename", "to_file", "file", "out", "save"),
                    "viz.draw_...(...).render(path)"),
    **dict.fromkeys(("figsize", "dpi"), "width=, in pixels"),
})  # fmt: skip
