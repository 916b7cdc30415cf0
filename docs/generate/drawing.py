"""Boxes on a grid and arrows between them, as SVG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import pairwise

_WIDTH, _HEIGHT = 140, 34  # of a box
_COLUMN, _ROW = 150, 60  # from one box to the next
_MARGIN = 22
_SIDE = 84  # for the words of frames


@dataclass(frozen=True)
class Frame:
    """A dashed line around what is done several times: rows `first` to `last`."""

    text: str
    first: float
    last: float
    inner: bool = False


@dataclass(frozen=True)
class Diagram:
    """Boxes, by their text, at a column and a row; arrows as in `"X > Conv1x1 > Y; C > Conv1x1"`.

    A box that no arrow leads to, or from, is drawn as an array; one that begins with a small letter as a step without
    parameters.
    """

    boxes: dict[str, tuple[float, float]]
    arrows: str
    frames: tuple[Frame, ...] = ()

    def pairs(self) -> list[tuple[str, str]]:
        return [pair for line in self.arrows.split("; ") for pair in pairwise(line.split(" > "))]

    def svg(self, title: str) -> str:
        columns, rows = (max(place[axis] for place in self.boxes.values()) for axis in (0, 1))
        width = 2 * _MARGIN + columns * _COLUMN + _WIDTH + (_SIDE if self.frames else 0)
        height = 2 * _MARGIN + rows * _ROW + _HEIGHT
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            f'height="{height:g}" font-family="sans-serif" font-size="12.5">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0 L8 4 L0 8 z" fill="#555"/></marker></defs>',
            f'<rect width="{width:g}" height="{height:g}" rx="8" fill="#fafafa"/>',
            *(_framed(frame, width) for frame in self.frames),
            *(_arrow(self.boxes[start], self.boxes[end]) for start, end in self.pairs()),
            *self._boxes(),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _boxes(self) -> Iterator[str]:
        starts, ends = ({pair[side] for pair in self.pairs()} for side in (0, 1))
        for text, place in self.boxes.items():
            is_array = text not in starts or text not in ends
            fill = "#fff" if is_array else "#eee" if text[0].islower() else "#dbe7f6"
            x, y = _centre(place)
            yield (
                f'<rect x="{x - _WIDTH / 2:g}" y="{y - _HEIGHT / 2:g}" width="{_WIDTH}" height="{_HEIGHT}" '
                f'rx="{_HEIGHT / 2 if is_array else 4:g}" fill="{fill}" stroke="#555"/>'
                f'<text x="{x:g}" y="{y + 4.5:g}" text-anchor="middle" fill="#222">{escape(text)}</text>'
            )


def chain(*texts: str, frames: tuple[Frame, ...] = ()) -> Diagram:
    """One box below the other."""
    return Diagram({text: (0, row) for row, text in enumerate(texts)}, " > ".join(texts), frames)


def _centre(place: tuple[float, float]) -> tuple[float, float]:
    return _MARGIN + place[0] * _COLUMN + _WIDTH / 2, _MARGIN + place[1] * _ROW + _HEIGHT / 2


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    """Straight down, with a turn above the end where that is in another column."""
    (x, y), (to_x, to_y) = _centre(start), _centre(end)
    turn = to_y - _ROW / 2
    corners = [(x, turn), (to_x, turn)] if x != to_x else []
    points = [(x, y + _HEIGHT / 2), *corners, (to_x, to_y - _HEIGHT / 2)]
    line = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline points="{line}" fill="none" stroke="#555" marker-end="url(#tip)"/>'


def _framed(frame: Frame, width: float) -> str:
    inset, room = (14, 10) if frame.inner else (6, 16)
    top = _MARGIN + frame.first * _ROW - room
    bottom = _MARGIN + frame.last * _ROW + _HEIGHT + room
    right = width - inset
    return (
        f'<rect x="{inset}" y="{top:g}" width="{right - inset:g}" height="{bottom - top:g}" rx="6" fill="none" '
        f'stroke="#888" stroke-dasharray="5 4"/>'
        f'<text x="{right - 8:g}" y="{(top + bottom) / 2 + 4 if frame.inner else top + 17:g}" text-anchor="end" '
        f'fill="#555">{escape(frame.text)}</text>'
    )
