"""A small drawing board: filled and stroked outlines, supersampled for smooth edges."""

from collections.abc import Collection, Iterable, Sequence
from io import BytesIO
from math import cos, radians, sin
from random import Random
from typing import TypeVar

from PIL import Image, ImageChops, ImageDraw, ImageOps

Point = tuple[float, float]
Outline = Sequence[Point]
Colour = tuple[int, int, int]
T = TypeVar("T")

WHITE: Colour = (255, 255, 255)
INK: Colour = (44, 40, 58)
CREAM: Colour = (252, 245, 230)
WOOD: Colour = (196, 148, 100)
STEEL: Colour = (196, 204, 214)
LEAF: Colour = (92, 158, 96)

# Drawings are made on a square of 1000 units, of which this margin is cut off on each side.
_MARGIN = 40
_OVERSAMPLING = 2
_SMOOTH = Image.Resampling.BILINEAR


def blend(colour: Colour, other: Colour, share: float) -> Colour:
    """`share` (0 to 1) of `other` in `colour`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def lighter(colour: Colour, share: float = 0.3) -> Colour:
    return blend(colour, WHITE, share)


def darker(colour: Colour, share: float = 0.2) -> Colour:
    return blend(colour, INK, share)


def ellipse(x: float, y: float, rx: float, ry: float | None = None, start: float = 0, end: float = 360) -> Outline:
    """The arc from `start` to `end` degrees, clockwise from three o'clock; a circle when only `rx` is given."""
    ry = rx if ry is None else ry
    steps = max(8, round(abs(end - start) / 5))
    angles = (radians(start + (end - start) * step / steps) for step in range(steps + 1))
    return [(x + rx * cos(angle), y + ry * sin(angle)) for angle in angles]


def box(left: float, top: float, right: float, bottom: float, radius: float = 0) -> Outline:
    """A rectangle with round corners."""
    if not radius:
        return [(left, top), (right, top), (right, bottom), (left, bottom)]
    corners = (
        (right - radius, top + radius, 270),
        (right - radius, bottom - radius, 0),
        (left + radius, bottom - radius, 90),
        (left + radius, top + radius, 180),
    )
    return [point for x, y, angle in corners for point in ellipse(x, y, radius, radius, angle, angle + 90)]


def tub(x: float, top: float, bottom: float, upper: float, lower: float, depth: float = 0.14) -> Outline:
    """A round vessel seen slightly from above: `upper` and `lower` are radii, `depth` flattens the circles."""
    brim = ellipse(x, top, upper, upper * depth, 180, 360)
    return [*brim, *ellipse(x, bottom, lower, lower * depth, 0, 180)]


def path(points: Outline) -> Outline:
    """A smooth open line through the points."""
    knots = [points[0], *points, points[-1]]
    return [*_smooth(knots), points[-1]]


def curve(points: Outline) -> Outline:
    """A smooth closed line through the points."""
    return _smooth([points[-1], *points, *points[:2]])


def _smooth(knots: Outline) -> list[Point]:
    """A Catmull-Rom spline through all knots but the first and the last."""
    return [_spline(knots[i : i + 4], step / 12) for i in range(len(knots) - 3) for step in range(12)]


def _spline(knots: Outline, t: float) -> Point:
    weights = (
        (-t + 2 * t**2 - t**3) / 2,
        (2 - 5 * t**2 + 3 * t**3) / 2,
        (t + 4 * t**2 - 3 * t**3) / 2,
        (t**3 - t**2) / 2,
    )
    x, y = (sum(weight * knot[axis] for weight, knot in zip(weights, knots, strict=True)) for axis in (0, 1))
    return x, y


def turned(outline: Outline, degrees: float, x: float = 500, y: float = 500) -> Outline:
    """The outline turned clockwise round a point."""
    c, s = cos(radians(degrees)), sin(radians(degrees))
    return [(x + (px - x) * c - (py - y) * s, y + (px - x) * s + (py - y) * c) for px, py in outline]


def mirrored(outline: Outline, x: float = 500) -> Outline:
    return [(2 * x - px, py) for px, py in outline]


def whole(half: Outline, x: float = 500) -> Outline:
    """A symmetrical outline from the half on one side of the axis at `x`."""
    return [*half, *reversed(mirrored(half, x))]


def leaf(x: float, y: float, length: float, width: float, degrees: float) -> Outline:
    """A pointed leaf that grows from (x, y), upwards at 0 degrees."""
    side = [(x, y), (x + width * 0.42, y - length * 0.3), (x + width * 0.36, y - length * 0.65), (x, y - length)]
    right = path(side)
    return turned(whole(right, x), degrees, x, y)


class Variation:
    """What differs between goods of one kind: chance that repeats for the same seed, unless words name it."""

    def __init__(self, seed: str, words: Collection[str] = ()) -> None:
        self._random = Random(seed)  # noqa: S311 (a drawing is no secret)
        self._words = words

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def choice(self, options: Sequence[T]) -> T:
        return self._random.choice(options)

    def sample(self, options: Sequence[T], count: int) -> list[T]:
        return self._random.sample(options, count)

    def happens(self, probability: float) -> bool:
        return self._random.random() < probability

    def kind(self, *options: str) -> str:
        """The option that the words name, or else any."""
        return next((option for option in options if option in self._words), None) or self._random.choice(options)


class Sketch:
    """A picture in the making."""

    def __init__(self, size: int, background: Colour) -> None:
        self._size = size
        self._scale = size * _OVERSAMPLING / (1000 - 2 * _MARGIN)
        self._image = Image.new("RGB", (size * _OVERSAMPLING,) * 2, background)
        self._pen = ImageDraw.Draw(self._image)

    def fill(self, outline: Outline, colour: Colour, to: Colour | None = None, *, down: bool = False) -> None:
        """Fill with one colour, or with a gradient `to` another: from left to right, or `down`."""
        points = self._scaled(outline)
        if to is None:
            self._pen.polygon(points, fill=colour)
            return
        left, top, right, bottom = _bounds(points)
        area = (max(1, right - left), max(1, bottom - top))
        strip = Image.linear_gradient("L").crop((0, 0, 1, 256))
        strip = strip if down else strip.transpose(Image.Transpose.ROTATE_90)
        # In two steps, as stretching one line of pixels by repeating it is much faster than interpolating.
        paint = ImageOps.colorize(strip, colour, to).resize((1, area[1]) if down else (area[0], 1), _SMOOTH)
        paint = paint.resize(area, Image.Resampling.NEAREST)
        self._image.paste(paint, (left, top), _mask(area, [points], left, top))

    def inside(self, outline: Outline, parts: Iterable[Outline], colour: Colour) -> None:
        """Fill what the parts and the outline have in common: stripes, shades, labels."""
        points = self._scaled(outline)
        left, top, right, bottom = _bounds(points)
        area = (max(1, right - left), max(1, bottom - top))
        shapes = _mask(area, [self._scaled(part) for part in parts], left, top)
        common = ImageChops.darker(_mask(area, [points], left, top), shapes)
        self._image.paste(colour, (left, top, left + area[0], top + area[1]), common)

    def stroke(self, line: Outline, colour: Colour, width: float) -> None:
        """An open line with round joints and ends."""
        points = self._scaled(line)
        self._pen.line(points, fill=colour, width=round(width * self._scale), joint="curve")
        radius = width * self._scale / 2
        for x, y in (points[0], points[-1]):
            self._pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def shadow(self, x: float, y: float, rx: float, ground: Colour) -> None:
        """A soft shadow on the ground."""
        for step in range(8):
            share = 1.15 - step * 0.06
            self.fill(ellipse(x, y, rx * share, rx * share * 0.13), darker(ground, 0.03 * (step + 1)))

    def encoded(self) -> bytes:
        """The finished picture as WebP."""
        file = BytesIO()
        self._image.reduce(_OVERSAMPLING).save(file, "WEBP", quality=82, method=1)
        return file.getvalue()

    def _scaled(self, outline: Outline) -> list[Point]:
        return [((x - _MARGIN) * self._scale, (y - _MARGIN) * self._scale) for x, y in outline]


def _bounds(points: Outline) -> tuple[int, int, int, int]:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return int(min(xs)), int(min(ys)), int(max(xs)) + 1, int(max(ys)) + 1


def _mask(area: tuple[int, int], shapes: Iterable[Outline], left: int, top: int) -> Image.Image:
    mask = Image.new("L", area)
    pen = ImageDraw.Draw(mask)
    for shape in shapes:
        pen.polygon([(x - left, y - top) for x, y in shape], fill=255)
    return mask
