"""Timelines of two schedules on one axis, as SVG drawn here: a lane for the device and a lane per request."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from markupsafe import Markup, escape

from drex_runtime.records.ticks import Tick
from xplain.records import Bar, Timeline, Witness
from xplain.report.units import duration, significant, unit_for

WIDTH, GUTTER, RIGHT = 1000, 92, 16
LANE, DEVICE, HEAD, AXIS, SPACE = 26, 26, 30, 40, 18
LETTER = 6.6
WORDS = {"start": "start of a second pass", "rebatch": "rebatching", "fill": "filling skipped KV", "prefill": "prefill",
         "idle": "idle", "ramp": "ramp", "segment": "segment"}
SHORT = {"start": "start", "rebatch": "rebatch", "fill": "fill", "prefill": "prefill", "idle": "idle", "ramp": "ramp"}


@dataclass(frozen=True)
class Step:
    """A row of the timeline's table."""

    begin: str
    end: str
    what: str
    requests: str


def steps(timeline: Timeline, tick: Tick) -> list[Step]:
    """The bars in words, in order."""
    return [Step(duration(bar.start, tick), duration(bar.end, tick), words(bar), ", ".join(map(str, bar.rows)) or "–")
            for bar in timeline.bars]


def words(bar: Bar) -> str:
    """What a bar is: "segment 2", "ramp 1", "rebatching"."""
    name = WORDS.get(bar.kind, bar.kind)
    return f"{name} {bar.segment}" if bar.kind in ("segment", "ramp") else name


def parting(witness: Witness) -> int | None:
    """Clock at which the two schedules first do different things; None if they never do."""
    for one, other in zip_longest(witness.heuristic.bars, witness.optimum.bars):
        if one != other:
            return min(bar.start for bar in (one, other) if bar is not None)
    return None


def draw(witness: Witness, tick: Tick) -> Markup:
    """Both schedules of a witness stacked over a common time axis."""
    lines = (witness.heuristic, witness.optimum)
    end = max([1, *(bar.end for line in lines for bar in line.bars), *(t for line in lines for t in line.completed)])
    lanes = len(witness.arrivals)
    panel = HEAD + DEVICE + 8 + lanes * LANE
    height = 2 * panel + SPACE + AXIS
    scale = (WIDTH - GUTTER - RIGHT) / end
    parts: list[str] = []
    parts += _axis(end, scale, height - AXIS, tick)
    for place, line in enumerate(lines):
        top = place * (panel + SPACE)
        parts += _panel(line, witness, top, scale, tick)
    if (clock := parting(witness)) is not None:
        x = GUTTER + clock * scale
        parts.append(f'<line class="tl-part" x1="{x:.1f}" x2="{x:.1f}" y1="{HEAD - 4}" y2="{height - AXIS}"/>')
        side, gap = ("start", 5) if x < 0.7 * WIDTH else ("end", -5)
        parts.append(f'<text class="tl-note" x="{x + gap:.1f}" y="{panel + SPACE - 4}" text-anchor="{side}">'
                     f"the schedules part here</text>")
    label = escape(f"Timelines of {lines[0].title} and {lines[1].title} on one time axis")
    return Markup(f'<svg class="timeline" role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {height}" '
                  f'width="{WIDTH}" height="{height}">{"".join(parts)}</svg>')


def patterns() -> Markup:
    """The hatchings of all timelines of a page, once: ids must be unique."""
    def pattern(name: str, mark: str, size: int = 6) -> str:
        return (f'<pattern id="tl-{name}" width="{size}" height="{size}" patternUnits="userSpaceOnUse">'
                f'<rect class="tl-ground" width="{size}" height="{size}"/>{mark}</pattern>')

    slash = '<path class="tl-mark" d="M-1,7L7,-1M-2,2L2,-2M4,8L8,4"/>'
    back = '<path class="tl-mark" d="M-1,-1L7,7M-2,4L2,8M4,-2L8,2"/>'
    dots = '<circle class="tl-dot" cx="2" cy="2" r="1.1"/>'
    lines = '<path class="tl-mark" d="M0,3H6"/>'
    return Markup(f"<defs>{pattern('ramp', slash)}{pattern('start', slash + back)}{pattern('rebatch', back)}"
                  f"{pattern('fill', lines)}{pattern('prefill', dots, 4)}</defs>")


def _axis(end: int, scale: float, bottom: float, tick: Tick) -> Iterator[str]:
    per_unit, unit = unit_for(end, tick)
    step = _nice(end / per_unit / 8)
    for k in range(int(end / per_unit / step + 1e-9) + 1):
        x = GUTTER + k * step * per_unit * scale
        yield f'<line class="tl-grid" x1="{x:.1f}" x2="{x:.1f}" y1="{HEAD - 4}" y2="{bottom + 5}"/>'
        text = significant(k * step, 3).rstrip("0").rstrip(".") if "." in significant(k * step, 3) else f"{k * step:g}"
        yield f'<text class="tl-tick" x="{x:.1f}" y="{bottom + 19}" text-anchor="middle">{text}</text>'
    yield (f'<text class="tl-tick" x="{(GUTTER + WIDTH - RIGHT) / 2:.0f}" y="{bottom + 36}" text-anchor="middle">'
           f"time in {unit}</text>")


def _nice(rough: float) -> float:
    size = 10.0 ** math.floor(math.log10(rough))
    return float(next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough - 1e-12))


def _panel(line: Timeline, witness: Witness, top: float, scale: float, tick: Tick) -> Iterator[str]:
    yield f'<text class="tl-title" x="0" y="{top + 18}">{escape(line.title)}</text>'
    device = top + HEAD
    first = device + DEVICE + 8
    yield f'<text class="tl-name" x="{GUTTER - 8}" y="{device + 17}" text-anchor="end">device</text>'
    for bar in line.bars:
        yield _block(bar, GUTTER + bar.start * scale, device, (bar.end - bar.start) * scale, DEVICE, _device_label(bar),
                     tick)
    for row, arrival in enumerate(witness.arrivals):
        middle = first + row * LANE + LANE / 2
        done = line.completed[row] if row < len(line.completed) else arrival
        yield f'<text class="tl-name" x="{GUTTER - 8}" y="{middle + 4}" text-anchor="end">request {row}</text>'
        yield (f'<line class="tl-life" x1="{GUTTER + arrival * scale:.1f}" x2="{GUTTER + done * scale:.1f}" '
               f'y1="{middle}" y2="{middle}"/>')
        yield from _waits(line, row, middle, scale, tick)
        for bar in line.bars:
            if row in bar.rows:
                yield _block(bar, GUTTER + bar.start * scale, middle - 9, (bar.end - bar.start) * scale, 18,
                             str(bar.segment) if bar.kind == "segment" else "", tick)
        yield from _marks(line, row, middle, scale, tick)
        x = GUTTER + done * scale
        yield (f'<path class="tl-done" d="M{x:.1f},{middle - 11}V{middle + 11}">'
               f"<title>request {row} complete at {duration(done, tick)}</title></path>")


def _device_label(bar: Bar) -> str:
    if bar.kind == "segment":
        return f"{bar.segment} \N{MULTIPLICATION SIGN}{len(bar.rows)}"
    return SHORT.get(bar.kind, bar.kind)


def _block(bar: Bar, x: float, y: float, width: float, height: float, label: str, tick: Tick) -> str:
    depth = min(bar.segment, 4) if bar.kind == "segment" else 0
    kind = f"tl-segment tl-depth-{depth}" if depth else f"tl-{escape(bar.kind)}"
    rows = f", requests {', '.join(map(str, bar.rows))}" if bar.rows else ""
    title = f"{words(bar)}{rows}: {duration(bar.start, tick)} to {duration(bar.end, tick)}"
    text = ""
    if label and len(label) * LETTER + 4 <= width:
        text = (f'<text class="tl-label tl-on-{depth}" x="{x + width / 2:.1f}" y="{y + height / 2 + 4:.1f}" '
                f'text-anchor="middle">{escape(label)}</text>')
    return (f'<g><title>{escape(title)}</title><rect class="{kind}" x="{x:.1f}" y="{y:.1f}" '
            f'width="{max(width, 0.6):.1f}" height="{height}"/>{text}</g>')


def _waits(line: Timeline, row: int, middle: float, scale: float, tick: Tick) -> Iterator[str]:
    """Time in the buffer: from being parked to the next bar the request takes part in."""
    for clock, parked, _ in line.parks:
        if parked != row:
            continue
        later = [bar.start for bar in line.bars if row in bar.rows and bar.start >= clock and bar.kind != "rebatch"]
        if later and min(later) > clock:
            yield (f'<line class="tl-wait" x1="{GUTTER + clock * scale:.1f}" x2="{GUTTER + min(later) * scale:.1f}" '
                   f'y1="{middle}" y2="{middle}"><title>request {row} in the buffer for '
                   f"{duration(min(later) - clock, tick)}</title></line>")


def _marks(line: Timeline, row: int, middle: float, scale: float, tick: Tick) -> Iterator[str]:
    for clock, who, segment in line.exits:
        if who == row:
            x = GUTTER + clock * scale
            yield (f'<path class="tl-exit" d="M{x:.1f},{middle - 11}l5,6l-5,6l-5,-6z">'
                   f"<title>request {row} exits at ramp {segment}, {duration(clock, tick)}</title></path>")
    for clock, who, segment in line.parks:
        if who == row:
            x = GUTTER + clock * scale
            yield (f'<path class="tl-park" d="M{x - 2:.1f},{middle - 8}v16M{x + 2:.1f},{middle - 8}v16">'
                   f"<title>request {row} parked behind ramp {segment}, {duration(clock, tick)}</title></path>")
