"""The picture of a heat map: nodes in layers, an edge per line, drawn as SVG that stands alone.

Readable without colour: a dashed line is used by the heuristic only, a solid one by the benchmark only, a dotted one by
both; the width is |score|, the number on the line the score itself; a filled arrowhead says that most of the
differences are certain ("must"). Colours are the report's CSS variables, with a light theme's where there are none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from xplain.heat_map.layout import COPY, Layout, Place, layered
from xplain.heat_map.table import shown, signed
from xplain.records.heat_map import EdgeHeat, HeatMap
from xplain.report.svg import NARROW, WIDE, Figure
from xplain.report.units import count

MOST, MOST_NARROW = 24, 12  # edges drawn
LETTER, CAPITAL = 6.5, 9.0  # pixels of a letter
FONT, SMALL, PORT, PAD = 12, 11, 15, 14  # pixels: of text, of numbers, between edges at a node, between nodes
BEND = 60  # pixels that an edge has at least for its curve
MAX_NAME = 34  # letters of a node
LINE = 18  # pixels per line of the legend
DELTA = "\N{GREEK CAPITAL LETTER DELTA}"
INK, MUTED, PANEL, PAPER, RULE, LOSS, ACCENT = (
    "var(--ink,#1b1e22)", "var(--muted,#59616a)", "var(--panel,#f5f6f5)", "var(--paper,#fdfdfc)",
    "var(--rule,#dcdfdf)", "var(--loss,#b1441b)", "var(--accent,#1f5f8f)")


@dataclass(frozen=True)
class Style:
    """How an edge is drawn: colour, dashes, and which side it speaks for (0: both)."""

    colour: str
    dashes: str
    side: int


BENCHMARK, HEURISTIC, BOTH = Style(ACCENT, "", 1), Style(LOSS, "7 4", -1), Style(MUTED, "1.5 4", 0)


def heat_map_figure(heat: HeatMap, caption: str = "") -> Figure:
    """The picture for wide and for narrow pages, with a caption that says how to read it."""
    return Figure(Markup(heat_map_svg(heat)), Markup(heat_map_svg(heat, NARROW, MOST_NARROW)),
                  caption or caption_of(heat))


def caption_of(heat: HeatMap) -> str:
    """What the numbers are and over how many samples (the picture itself says what it leaves out)."""
    used, unit = sum(edge.used for edge in heat.edges), f" ({heat.unit})" if heat.unit else ""
    parts = [f"The number on an edge is its mean score over {count(heat.counted)} samples: +1 where only "
             f"{heat.benchmark} uses it, \N{MINUS SIGN}1 where only {heat.heuristic} does, 0 where both or neither do; "
             f"{DELTA} is the mean of how much more{unit} {heat.benchmark} has on it (shown where it says more than "
             "the score). A filled arrowhead: in most of the samples that differ there, every optimal solution differs "
             "(must differ); an open one: others need not (may)."]
    if heat.infeasible:
        parts.append(f"{count(heat.infeasible)} more samples have no flows (infeasible, or the benchmark was not "
                     "proved).")
    if used < len(heat.edges):
        parts.append(f"{count(len(heat.edges) - used)} edges were never used by either.")
    return " ".join(parts)


def heat_map_svg(heat: HeatMap, width: int = WIDE, most: int = MOST) -> str:
    """The strongest `most` edges as one SVG, at least `width` pixels wide; it says how many are not drawn."""
    drawn = shown(heat, most)
    left_out = sum(edge.used for edge in heat.edges) - len(drawn)
    layout = layered([(edge.tail, edge.head) for edge in drawn])
    picture = _Picture(drawn, layout, width)
    legend, top = _legend(heat, picture.width, left_out)
    body = [*picture.lines(top), *picture.boxes(top)] if drawn else [
        _text(0, top + 16, "No edge was used in any sample.", INK)]
    height = top + max(24.0, picture.height) + 6
    label = (f"Heat map of {len(drawn)} edges: where {heat.heuristic} and {heat.benchmark} differ. The table beside it "
             "has the numbers.")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" class="heat-map" role="img" aria-label="{escape(label)}" '
            f'viewBox="0 0 {picture.width:.0f} {height:.0f}" width="{picture.width:.0f}" height="{height:.0f}" '
            f'font-family="sans-serif" font-size="{FONT}">{"".join(legend)}{"".join(body)}</svg>')


def style_of(edge: EdgeHeat) -> Style:
    """Whose edge it is: by the score if that is surely not 0, else by the amounts if they surely differ."""
    for mean in (edge.score, edge.difference):
        if mean.low > 0 or mean.high < 0:
            return BENCHMARK if mean.value > 0 else HEURISTIC
    return BOTH


def label_of(edge: EdgeHeat) -> str:
    """The score, and the difference in amount where both sides use the edge more often than the score tells."""
    score, difference = edge.score, edge.difference
    text = signed(score.value, 2)
    if edge.both.value >= abs(score.value) and (difference.low > 0 or difference.high < 0):
        text += f" {DELTA}{signed(difference.value, digits=2)}"
    return text


class _Picture:
    """Places of nodes, and of edges at them."""

    def __init__(self, drawn: Sequence[EdgeHeat], layout: Layout, width: int) -> None:
        self.drawn, self.layout = drawn, layout
        widths = [max(_length(_short(name)) + 14 if bend <= COPY else 0.0 for name, bend in layer)
                  for layer in layout.layers]
        gaps = max(0, len(widths) - 1)
        self.straight = max((_length(label_of(edge)) for edge in drawn), default=0.0) * SMALL / FONT + 10
        self.width = max(float(width), sum(widths) + gaps * (self.straight + BEND) + 2)
        gap = (self.width - 2 - sum(widths)) / gaps if gaps else 0.0
        self.left = [1 + sum(widths[:k]) + k * gap for k in range(len(widths))]
        self.widths = widths
        self.column = {place: k for k, layer in enumerate(layout.layers) for place in layer}
        leaving: dict[Place, list[int]] = {place: [] for place in self.column}
        entering: dict[Place, list[int]] = {place: [] for place in self.column}
        for number, route in enumerate(layout.routes):
            for one, other in pairwise(route):
                # Ports are on the side where the edge is, whatever its direction.
                right = self.column[one] < self.column[other]
                leaving[one if right else other].append(number)
                entering[other if right else one].append(number)
        self.size = {place: max(24.0, PORT * max(len(leaving[place]), len(entering[place])) + 6) if place[1] <= COPY
                     else 10.0 for place in self.column}
        tall = [sum(self.size[place] + PAD for place in layer) - PAD for layer in layout.layers]
        self.height = max(tall, default=0.0)
        self.top: dict[Place, float] = {}
        for layer, own in zip(layout.layers, tall, strict=True):
            # Short columns are spread over the height of the tallest.
            spare = (self.height - own) / (len(layer) + 1) if len(layer) else 0.0
            y = spare
            for place in layer:
                self.top[place] = y
                y += self.size[place] + PAD + spare
        self.port: dict[tuple[Place, int, bool], float] = {}
        for right, ports in ((True, leaving), (False, entering)):
            for place, numbers in ports.items():
                for k, number in enumerate(sorted(numbers, key=lambda n: self._far(place, n, right))):
                    middle = self.top[place] + self.size[place] / 2
                    self.port[place, number, right] = middle + PORT * (k - (len(numbers) - 1) / 2)

    def _far(self, place: Place, number: int, right: bool) -> tuple[float, int]:
        """Height of the next place of edge `number` on that side."""
        route = self.layout.routes[number]
        at = route.index(place)
        neighbours = [route[k] for k in (at - 1, at + 1) if 0 <= k < len(route)]
        other = next((each for each in neighbours if (self.column[each] > self.column[place]) == right), place)
        return self.top[other] + self.size[other] / 2, number

    def boxes(self, top: float) -> Iterator[str]:
        """The nodes."""
        for layer, left, width in zip(self.layout.layers, self.left, self.widths, strict=True):
            for name, bend in layer:
                if bend > COPY:
                    continue
                y, height = top + self.top[name, bend], self.size[name, bend]
                yield (f'<g><title>{escape(name)}</title><rect x="{left:.1f}" y="{y:.1f}" width="{width:.1f}" '
                       f'height="{height:.1f}" rx="4" fill="{PANEL}" stroke="{MUTED}"/>'
                       + _text(left + width / 2, y + height / 2 + 4, _short(name), INK, "middle") + "</g>")

    def lines(self, top: float) -> Iterator[str]:
        """The edges, the weakest first, and then their numbers, which nothing hides."""
        numbers = sorted(range(len(self.drawn)), key=lambda number: self.drawn[number].strength)
        labels = []
        for number in numbers:
            edge, style, route = self.drawn[number], style_of(self.drawn[number]), self.layout.routes[number]
            width = 1.3 + 4.2 * abs(edge.score.value)
            points = [self._ends(place, number, top) for place in route]
            forward = self.column[route[0]] <= self.column[route[-1]]
            path, tip, (x, y) = _curve(points, forward, self.straight)
            dashes = f' stroke-dasharray="{style.dashes}"' if style.dashes else ""
            yield (f'<g><title>{escape(_title(edge))}</title><path d="{path}" fill="none" stroke="{style.colour}" '
                   f'stroke-width="{width:.1f}"{dashes}/>{_head(tip, forward, style, edge)}</g>')
            label = label_of(edge)
            size = _length(label) * SMALL / FONT + 2
            labels.append(f'<rect x="{x + 4 if forward else x - 4 - size:.1f}" y="{y - 6:.1f}" width="{size:.1f}" '
                          f'height="12" fill="{PAPER}"/><text x="{x + 5 if forward else x - 5:.1f}" y="{y + 4:.1f}" '
                          f'fill="{INK}" text-anchor="{"start" if forward else "end"}" font-size="{SMALL}">'
                          f"{escape(label)}</text>")
        yield from labels

    def _ends(self, place: Place, number: int, top: float) -> tuple[tuple[float, float], tuple[float, float]]:
        """Where the edge is at the left and at the right side of a place."""
        left, width = self.left[self.column[place]], self.widths[self.column[place]]
        middle = self.top[place] + self.size[place] / 2
        return ((left, top + self.port.get((place, number, False), middle)),
                (left + width, top + self.port.get((place, number, True), middle)))


def _curve(points: Sequence[tuple[tuple[float, float], tuple[float, float]]],
           forward: bool, straight: float) -> tuple[str, tuple[float, float], tuple[float, float]]:
    """Path, tip and start of an edge through (left, right) points of its places; `straight`: room for its number."""
    leave, enter = (1, 0) if forward else (0, 1)
    sign = 1 if forward else -1
    x, y = points[0][leave]
    start = (x, y)
    path = f"M{x:.1f},{y:.1f}H{x + sign * straight:.1f}"
    x += sign * straight
    for k, place in enumerate(points[1:], start=2):
        to_x, to_y = place[enter]
        last = k == len(points)
        to_x -= sign * 9 if last else 0
        half = (to_x - x) / 2
        path += f"C{x + half:.1f},{y:.1f} {to_x - half:.1f},{to_y:.1f} {to_x:.1f},{to_y:.1f}"
        x, y = to_x, to_y
        if not last:
            x, y = place[leave]
            path += f"H{x:.1f}"
    return path, (x + sign * 9, y), start


def _head(tip: tuple[float, float], forward: bool, style: Style, edge: EdgeHeat) -> str:
    """An arrowhead, filled where most of the differences are certain."""
    x, y = tip
    back = x - (9 if forward else -9)
    if not edge.differs.value:
        return (f'<path d="M{back:.1f},{y - 4:.1f}L{x:.1f},{y:.1f}L{back:.1f},{y + 4:.1f}" fill="none" '
                f'stroke="{MUTED}"/>')
    fill = style.colour if edge.must.value * 2 > edge.differs.value else PAPER
    return (f'<path d="M{x:.1f},{y:.1f}L{back:.1f},{y - 4.5:.1f}V{y + 4.5:.1f}Z" fill="{fill}" '
            f'stroke="{style.colour}" stroke-width="1.2"/>')


def _legend(heat: HeatMap, width: float, left_out: int) -> tuple[list[str], float]:
    """Lines of the legend, as many beside each other as fit, and where the picture begins."""
    entries = [(BENCHMARK, f"more {heat.benchmark}"), (HEURISTIC, f"more {heat.heuristic}"), (BOTH, "alike")]
    found, x, y = [], 0.0, 14.0
    for style, words in entries:
        size = 44 + _length(words)
        if x and x + size > width:
            x, y = 0.0, y + LINE
        dashes = f' stroke-dasharray="{style.dashes}"' if style.dashes else ""
        found.append(f'<path d="M{x + 1:.1f},{y - 4:.1f}h30" stroke="{style.colour}" stroke-width="3"{dashes}/>'
                     + _text(x + 36, y, words, MUTED))
        x += size + 18
    words = "filled arrow: must differ, open: may"
    if left_out:
        words += f"; {count(left_out)} weaker edges not drawn"
    if x + _length(words) > width:
        x, y = 0.0, y + LINE
    for line in _wrapped(words, int((width - x) / LETTER)):
        found.append(_text(x, y, line, MUTED))
        y += LINE
    return found, y + 2


def _wrapped(words: str, letters: int) -> list[str]:
    lines = [""]
    for word in words.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > letters:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return lines


def _title(edge: EdgeHeat) -> str:
    return (f"{edge.tail} \N{RIGHTWARDS ARROW} {edge.head}: score {signed(edge.score.value, 2)} "
            f"({signed(edge.score.low, 2)} to {signed(edge.score.high, 2)})")


def _length(words: str) -> float:
    """Pixels of a text, roughly."""
    return sum(CAPITAL if letter.isupper() else LETTER for letter in words)


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else name[:MAX_NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _text(x: float, y: float, words: str, colour: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{escape(words)}</text>'
