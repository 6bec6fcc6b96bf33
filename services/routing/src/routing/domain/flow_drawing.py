"""A flow as an SVG picture: boxes in columns from the start to the right, one line of text for each way out of a step.

Ways are named inside the box that they leave and run only through the gaps between columns and under the last row, each
on a track of its own: no way crosses a text, and no two texts share a place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from html import escape

import msgspec

from routing.domain.flows import (
    Flow,
    Greeting,
    Hours,
    Language,
    Menu,
    Message,
    Priority,
    Step,
    ToCallback,
    ToQueue,
    Voicemail,
    unasked_ways,
    ways,
)

WIDTH, LINE, SPACE, TRACK, MARGIN = 250, 20, 26, 9, 24
LONGEST = 29
"""Characters that fit a line of a box at 13 px of a monospaced face."""
MOST_NUMBERS = 4
"""More are only counted in the title."""
_TITLE_CHARACTER = 10
"""Its width at 16 px, bold."""
_COLOURS = {ToQueue: "#dcefdc", ToCallback: "#eaf3d2", Message: "#f3e3e3", Voicemail: "#e3e8f5"}


class _Box(msgspec.Struct):
    title: str
    lines: list[str]
    ways: list[tuple[str, str]]
    colour: str
    column: int
    x: int = 0
    y: int = 0

    @property
    def height(self) -> int:
        return LINE * (1 + len(self.lines) + len(self.ways)) + 10

    def way_y(self, number: int) -> int:
        return self.y + LINE * (1 + len(self.lines) + number) + 15


def entry_point_svg(entry_point_id: str, numbers: Sequence[str], flow: Flow) -> str:
    """The picture of an entry point's valid flow, under its name and the numbers that lead to it."""
    shown = ", ".join(numbers[:MOST_NUMBERS])
    more = f" and {len(numbers) - MOST_NUMBERS} more" if len(numbers) > MOST_NUMBERS else ""
    return svg(flow, f"{entry_point_id}  {shown}{more}".rstrip())


def svg(flow: Flow, title: str) -> str:
    """The picture of a valid flow. The same flow gives the same picture."""
    columns = _columns(flow)
    boxes = {
        name: _Box(f"{name} ({_kind(step)})", _lines(step), _named_ways(step), _COLOURS.get(type(step), "#fff"), column)
        for name, column in columns.items()
        if (step := flow.steps[name])
    }
    edges = [(name, number) for name, box in boxes.items() for number in range(len(box.ways))]
    into: dict[int, list[str]] = defaultdict(list)
    out: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for name, box in boxes.items():
        into[box.column].append(name)
    for name, number in edges:
        out[boxes[name].column].append((name, number))
    far = [edge for edge in edges if boxes[_target(boxes, edge)].column != boxes[edge[0]].column + 1]
    arriving: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for edge in far:
        arriving[boxes[_target(boxes, edge)].column].append(edge)
    x = MARGIN + TRACK * len(arriving[0])
    for column in range(len(into)):
        y = MARGIN + 2 * LINE
        for name in into[column]:
            boxes[name].x, boxes[name].y = x, y
            y += boxes[name].height + SPACE
        x += WIDTH + 2 * SPACE + TRACK * (len(out[column]) + len(arriving[column + 1]))
    bottom = max(box.y + box.height for box in boxes.values()) + SPACE
    drawn = [_way(boxes, edge, out, arriving, far, bottom) for edge in edges]
    width = max(x, 2 * MARGIN + _TITLE_CHARACTER * len(title))
    height = bottom + TRACK * len(far) + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="monospace" font-size="13">',
            '<defs><marker id="end" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
            '<path d="M0,0 L8,4 L0,8 z" fill="#555"/></marker></defs>',
            f'<rect width="{width}" height="{height}" fill="#fafafa"/>',
            f'<text x="{MARGIN}" y="{MARGIN + 6}" font-size="16" font-weight="bold">{escape(title)}</text>',
            *drawn,
            *(_drawn(box) for box in boxes.values()),
            "</svg>",
            "",
        ]
    )


def _target(boxes: dict[str, _Box], edge: tuple[str, int]) -> str:
    return boxes[edge[0]].ways[edge[1]][1]


def _way(
    boxes: dict[str, _Box],
    edge: tuple[str, int],
    out: dict[int, list[tuple[str, int]]],
    arriving: dict[int, list[tuple[str, int]]],
    far: list[tuple[str, int]],
    bottom: int,
) -> str:
    """To the next column through the gap; anywhere else down to a track under the boxes and up again before them."""
    box, target = boxes[edge[0]], boxes[_target(boxes, edge)]
    from_y, to_y = box.way_y(edge[1]) - 4, target.y + 14
    leave_x = box.x + WIDTH + SPACE + TRACK * out[box.column].index(edge)
    path = f"M{box.x + WIDTH},{from_y} H{leave_x} "
    if edge in far:
        under = bottom + TRACK * far.index(edge)
        arrive_x = target.x - SPACE + TRACK - TRACK * arriving[target.column].index(edge)
        path += f"V{under} H{arrive_x} "
    path += f"V{to_y} H{target.x}"
    return f'<path d="{path}" fill="none" stroke="#555" marker-end="url(#end)"/>'


def _drawn(box: _Box) -> str:
    texts = [f'<text x="{box.x + 8}" y="{box.y + 18}" font-weight="bold">{_short(box.title)}</text>']
    for number, line in enumerate(box.lines):
        texts.append(f'<text x="{box.x + 8}" y="{box.y + LINE * (number + 1) + 17}">{_short(line)}</text>')
    for number, (label, _) in enumerate(box.ways):
        texts.append(
            f'<text x="{box.x + WIDTH - 8}" y="{box.way_y(number)}" text-anchor="end" fill="#246">'
            f"{_short(label)}</text>"
        )
    outline = f'x="{box.x}" y="{box.y}" width="{WIDTH}" height="{box.height}" rx="6"'
    return "\n".join([f'<rect {outline} fill="{box.colour}" stroke="#333"/>', *texts])


def _short(text: str) -> str:
    """As much as fits a line; what does not is told where the picture is pointed at."""
    if len(text) <= LONGEST:
        return escape(text)
    return f"{escape(text[: LONGEST - 1])}…<title>{escape(text)}</title>"


def _columns(flow: Flow) -> dict[str, int]:
    """Column of every step that can be reached: one more than the furthest before it, ways back left out."""
    order: list[str] = []
    forward: dict[str, list[str]] = {}
    entered: set[str] = set()

    def visit(name: str) -> None:
        entered.add(name)
        forward[name] = []
        for _, target in ways(flow.steps[name]):
            if target not in entered:
                visit(target)
            if target in order:
                forward[name].append(target)
        order.append(name)

    visit(flow.start)
    columns = dict.fromkeys(reversed(order), 0)
    for name in columns:
        for target in forward[name]:
            columns[target] = max(columns[target], columns[name] + 1)
    return columns


def _kind(step: Step) -> str:
    return str(step.__struct_config__.tag)


def _lines(step: Step) -> list[str]:
    match step:
        case Greeting(prompt=prompt) | Message(prompt=prompt):
            return [f"plays {prompt}"]
        case Menu() | Language():
            return [f"plays {step.prompt}", f"{step.tries} tries of {step.timeout_seconds:g} s"]
        case Hours():
            return [f"queue {step.queue_id}"]
        case Priority():
            who = [f"{len(step.phones)} phone{'s' * (len(step.phones) > 1)}"] if step.phones else []
            return [f"+{step.steps} for {' and '.join([*who, *(['contacts'] if step.known_contacts else [])])}"]
        case ToQueue():
            return [step.queue_id]
        case ToCallback():
            return [f"queue {step.queue_id}"]
        case Voicemail():
            return [f"plays {step.prompt}", f"records up to {step.max_seconds:g} s", f"case of {step.queue_id}"]


def _named_ways(step: Step) -> list[tuple[str, str]]:
    chosen: list[tuple[str, str]] = []
    if isinstance(step, Menu):
        chosen = [(choice.digits, choice.next) for choice in step.choices]
    elif isinstance(step, Language):
        chosen = [(f"{choice.digits} {choice.skill}", step.next) for choice in step.choices]
    return [*chosen, *((field.replace("_", " "), target) for field, target in unasked_ways(step))]
