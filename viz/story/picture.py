"""Draw a network's first picture: how far a gradient travels back in time, and what is left of it.

Above the panels; the last file of this folder.
"""

from collections.abc import Iterable, Sequence

from engine import Tensor
from engine.suggestions import advised
from viz.axes import fitted
from viz.charts.parts import GREY, INK, RULE
from viz.checks import check_names, check_tensor, check_title, check_width
from viz.colors import SEVERAL
from viz.diagram import Diagram
from viz.gc_pause import gc_paused
from viz.instead import DRAWINGS
from viz.labels import fit, wrapped
from viz.labels import width as text_width
from viz.scene import Line, Scene, Shape, Words
from viz.story import bars as adding
from viz.story.chain import chain, entering, head_height, key_to_widths, lanes_height
from viz.story.given import Losses, given_tokens, networks_of
from viz.story.layout import framed
from viz.story.lines import ALONE, curves, lines, room_before
from viz.story.marks import NUMBER
from viz.story.measuring import Key, Row, measured
from viz.story.sentence import explained, finding, heading
from viz.story.to_networkx import graph_of
from viz.style import RATIO, Scale

TITLE, EDGE = 40.0, 20.0
NAME = "draw_story"
LEAST = 480  # pixels: what its words need
FULLS = ((2, 26.0), (4, 20.0), (10**6, 14.0))  # lanes, and the width of a ribbon of norm 1
HEAD = 17.0  # pixels: a line of words over a panel
ROWS = 12  # cells of one picture
BESIDE = 300.0  # pixels: less room beside the scale, and the words stand under it


@advised(DRAWINGS)
def draw_story(
    loss: Losses,
    *,
    tokens: Sequence[str] | None = None,
    weight: Tensor | None = None,
    width: float = 800,
    title: str = "",
) -> Diagram:
    """Draw how far the gradient of `loss` travels back through time, and what is left of it.

    The title is a finding made from the numbers. Under it the states stand as a chain, with a
    ribbon from each to the one before that is as wide as ‖dL/dh_t‖: the Euclidean norm of the total
    derivative by the state after step t, of all rows of a batch together, on the logarithmic scale
    of `viz.style.Scale`. Then that norm as a line, and what each step adds to the gradient of the
    recurrent weight, or of `weight`: projections on that gradient, which sum to its norm. A factor
    "a step" is the geometric mean from the last state that a gradient reaches to the first; what
    shrinks to less than a hundredth vanishes, what changes by less than two holds. Of several
    states, h and c, the title speaks of the one with the largest norm at the first step.

    Layers and directions are drawn below each other on one scale, and so are the networks of a
    mapping or a sequence of losses. `tokens` are the words of the time axis; by default they are
    read from inputs called ``x = 'r'``. `width` is in pixels, 480 or more: under that words are
    cut. A gradient that is ``0 in float32`` may be one that is too small for it. `graph` has a node
    ``h3`` for each state with its `norm`, and ``weight_hh@3`` with what a step `adds`; their names
    begin with that of the cell where cells would share them, and differ by layer and network.

    Raises ValueError where no state over time leads to the loss, where nothing requires a gradient,
    for a loss that is no single number, for another number of tokens than steps, for a width under
    480, and for more than 12 cells; TypeError for what is no loss, weight, title or width.

    >>> import engine, rnn, viz
    >>> y, _ = rnn.RNN(3, 4)(engine.ones((5, 1, 3)))
    >>> viz.draw_story(engine.sum(y[-1])).graph.nodes["h4"]["norm"]
    2.0
    """
    wide = check_width(NAME, width, LEAST)
    check_title(NAME, title)
    if tokens is not None:
        check_names(NAME, "tokens", tokens)
    if weight is not None:
        check_tensor(NAME, "weight", weight)
    with gc_paused():
        networks = networks_of(loss)
        rows: list[Row] = []
        for name, one in networks.items():
            rows += measured(one, name, weight)
        if len(rows) > ROWS:
            raise ValueError(f"draw_story: {len(rows)} cells, more than {ROWS}; draw fewer")
        picture = _Picture(rows, tokens, wide)
        found = finding(rows, picture.names, picture.width - 2 * EDGE + 24)
        scene = picture.scene(title or found, found if title else "")
        return Diagram(scene, graph_of(rows, found))


class _Picture:
    """Stack the panels of one picture from the top downward."""

    def __init__(self, rows: list[Row], tokens: Sequence[str] | None, width: float) -> None:
        self.rows, self.width = rows, width
        self.names = [", ".join(filter(None, (row.network, row.title))) for row in rows]
        self.many = len(rows) > 1
        self.colors = (
            [SEVERAL[i % len(SEVERAL)] for i in range(len(rows))] if self.many else [ALONE]
        )
        self.curves = curves(rows, self.names if self.many else [""], self.colors)
        before = max(62.0, min(room_before(self.curves), 0.3 * self.width) + EDGE)
        if self.many:
            before = max(before, 136.0)
        self.frame = framed(rows, self.width, before, 62.0 if len(self.curves) > 1 else 40.0)
        self.scale = Scale.of(n for row in rows for track in row.tracks for n in track.norms)
        lanes = sum(len(row.tracks) for row in rows)
        full = next(full for most, full in FULLS if lanes <= most)
        # Up to 10 a ribbon may be wider than at 1; where gradients explode the top is the widest.
        self.full = full if self.scale.top == 1 else float(round(full / RATIO))
        self.tokens = self._tokens(tokens)
        self.shapes: list[Shape] = []
        self.y = TITLE

    def _tokens(self, given: Sequence[str] | None) -> dict[Key, str]:
        """Return the words of the time axis: those given, or those of the inputs of all steps."""
        keys = list(self.frame.at)
        if given is not None:
            return given_tokens(given, keys)
        found: dict[Key, str] = {}
        for row in self.rows:
            for key, t in zip(row.keys, row.run.times, strict=True):
                if t in row.tokens and found.setdefault(key, row.tokens[t]) != row.tokens[t]:
                    return {}  # two networks that read different words
        return found if len(found) == len(keys) else {}

    def scene(self, title: str, subtitle: str) -> Scene:
        """Return the whole picture."""
        if subtitle:
            self.shapes.append(Words(self.width / 2, self.y, subtitle, 12.0, GREY))
            self.y += HEAD
        guides = self.y
        self._chains()
        self._lines()
        self._bars()
        self._guides(guides)
        self._axis()
        self._key()
        return Scene(
            title=title,
            width=self.width,
            height=self.y,
            boxes=(),
            wires=(),
            shapes=tuple(self.shapes),
        )

    def _chains(self) -> None:
        said = ""
        for row, name, color in zip(self.rows, self.names, self.colors, strict=True):
            words = entering(row)
            words, said = "" if words == said else words, words
            head, high = head_height(row, words), lanes_height(row, self.scale, self.full)
            called, told = (self._called(name), self._told(row)) if self.many else ((), ())
            beside = 3.0 + 14 * len(called) + 13 * len(told)
            spare = max(0.0, beside - head - high) if self.many else 0.0
            self.y += head + spare / 2
            self.shapes += chain(row, self.frame, self.y, self.scale, self.full, words=words)
            if self.many:
                self._heading(called, told, color, self.y + (high - (0 if words else head)) / 2)
            self.y += high + spare / 2 + 12.0

    def _called(self, name: str) -> tuple[str, ...]:
        """Return the name of a cell, in lines that stand beside its chain."""
        room = self._beside()
        alone = text_width(name, 12.0, bold=True) <= room
        lines = (name,) if alone else wrapped([name], 0.84 * room, 12.0)  # bold is wider
        return tuple(fit(line, room, 12.0, bold=True) for line in lines)

    def _told(self, row: Row) -> tuple[str, ...]:
        """Return what becomes of the gradient of a cell, in lines that stand beside its chain."""
        told = [heading(row), "its gradient runs right" if row.reverse else ""]
        return wrapped(filter(None, told), self._beside(), NUMBER)

    def _beside(self) -> float:
        """Return how wide words beside a chain may be: that of many steps has a name there."""
        return self.frame.left - EDGE - (8 if self.frame.boxed else 36)

    def _heading(
        self, called: Sequence[str], told: Sequence[str], color: str, middle: float
    ) -> None:
        """Write the name of a cell, and what becomes of its gradient, on the left of its chain."""
        y = middle - 6.5 * len(told) - 7 * (len(called) - 1) + 4
        for line in called:
            self.shapes.append(Words(EDGE, y, line, 12.0, color, "start", bold=True))
            y += 14
        for i, line in enumerate(told):
            self.shapes.append(Words(EDGE, y + 13 * i, line, NUMBER, GREY, "start"))

    def _lines(self) -> None:
        states = list(dict.fromkeys(track.name for row in self.rows for track in row.tracks))
        what = " and ".join(f"‖dL/d{state}ₜ‖" for state in states)
        self._panel_title(f"{what}, log scale", "#8e1212")
        tall = max(136.0, 16.0 * len(self.curves)) if self.many else 112.0
        top = self.y + 18
        self.shapes += lines(self.curves, self.frame, top, top + tall, self.scale)
        self.y = top + tall + 12

    def _panel_title(self, text: str, color: str) -> None:
        x, y = self._title_left(), self.y + 12
        self.shapes.append(Words(x, y, text, adding.TITLE_SIZE, color, "start", bold=True))
        self.y += HEAD

    def _title_left(self) -> float:
        return self.frame.left if len(self.curves) == 1 else EDGE

    def _bars(self) -> None:
        shown = [row for row in self.rows if adding.drawable(row)]
        if not shown:
            return
        room = self.width - 8 - self._title_left()
        self._panel_title(adding.title_of(self.rows, room), adding.DARK_GOLD)
        self.y += 5
        limits = adding.limits(shown) if self.many else None
        tall = 46.0 if self.many else 66.0
        for row, name, color in zip(self.rows, self.names, self.colors, strict=True):
            if not adding.drawable(row):
                continue
            self.shapes += adding.bars(row, self.frame, self.y, self.y + tall, shares=limits)
            if self.many:
                x = self.frame.left - 10
                self.shapes += adding.caption(name, row, color, x, self.y + tall - 16)
            self.y += tall + 6

    def _guides(self, top: float) -> None:
        """Draw a faint upright line at each marked step of a long axis, through all panels."""
        if not self.frame.boxed:
            xs = [self.frame.at[key] for key in self.frame.marked]
            rules = [Line(((x, top), (x, self.y)), "#eef0f2", 1.0) for x in xs]
            self.shapes = [*rules, *self.shapes]

    def _axis(self) -> None:
        """Write the steps and their tokens under the columns."""
        frame = self.frame
        y = self.y + 10
        if self.tokens:
            self.shapes += self._words(y + 3)
            y += 17
        steps = [(frame.at[key], f"t = {key[1]}" if frame.boxed or i == 0 else f"{key[1]}")
                 for i, key in enumerate(frame.marked)]  # fmt: skip
        for i in fitted(steps, NUMBER):
            x, text = steps[i]
            self.shapes.append(Words(x, y, text, NUMBER, GREY))
        blocks = list(dict.fromkeys(block for block, _ in frame.at))
        if len(blocks) > 1:
            y += 16
            for block in blocks:
                xs = [x for key, x in frame.at.items() if key[0] == block]
                self.shapes.append(Words((min(xs) + max(xs)) / 2, y, str(block), 11.0, INK))
        self.y = y + 8

    def _words(self, y: float) -> Iterable[Shape]:
        """Yield the tokens, smaller where needed; where not all fit those of marked steps."""
        frame, tokens = self.frame, self.tokens
        shown, size = list(frame.at), 13.0
        if frame.boxed:
            tokens = {key: fit(own, frame.step - 4, size, bold=True) for key, own in tokens.items()}
        else:
            widest = max(text_width(own, 1.0, bold=True) for own in tokens.values())
            size = min(size, (frame.step - 3) / widest)
            if size < NUMBER:
                room = 0.8 * (frame.right - frame.left) / len(frame.marked)
                shown, size = list(frame.marked), 11.0
                tokens = {key: fit(tokens[key], room, size, bold=True) for key in shown}
        for key in shown:
            yield Words(frame.at[key], y, tokens[key], size, INK, bold=True)

    def _key(self) -> None:
        """Draw the scale of the ribbons as wide as they are, and what all of it means beside it."""
        top = self.y
        self.shapes.append(Line(((EDGE, top), (self.width - EDGE, top)), RULE, 1.0))
        shapes, end = key_to_widths(self.scale, self.full, EDGE + 8, top + self.full / 2 + 10)
        self.shapes += shapes
        notes = [*explained(self.rows, self.scale), *adding.notes_of(self.rows, self.names)]
        beside = self.width - EDGE - end - 26 >= BESIDE
        x, y = (end + 26, top + 19) if beside else (EDGE, top + self.full + 44)
        lines = wrapped([" ".join(notes)], self.width - EDGE - x, NUMBER)
        for i, line in enumerate(lines):
            self.shapes.append(Words(x, y + 14 * i, line, NUMBER, GREY, "start"))
        self.y = max(top + self.full + 28, y - 1 + 14 * len(lines))
