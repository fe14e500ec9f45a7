"""Drawings of the books and stationery department."""

from api.shopdemo.demo.sketch import (
    CREAM,
    INK,
    STEEL,
    WHITE,
    WOOD,
    Colour,
    Outline,
    Sketch,
    Variation,
    box,
    curve,
    darker,
    ellipse,
    lighter,
    path,
    turned,
)

RED: Colour = (226, 92, 84)
BRIGHT: tuple[Colour, ...] = (
    RED, (240, 166, 70), (246, 212, 92), (98, 172, 120), (84, 150, 206), (140, 110, 190),
)  # fmt: skip
# A dab of paint of radius 1, to be deformed.
DAB = ((1, 0.1), (0.6, 0.8), (-0.4, 0.9), (-1, 0.1), (-0.5, -0.8), (0.5, -0.9))


def book(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A hardcover book standing with its spine to the left, a landscape or an emblem on its cover."""
    lean = chance.uniform(30, 46)
    wide, top = chance.uniform(330, 370), chance.uniform(225, 265)
    left = 500 - wide / 2 - 10
    right = left + wide
    pages = [(right, top + 14), (right + lean, top + 2), (right + lean, 745), (right, 775)]
    sketch.fill(pages, darker(CREAM, 0.05), darker(CREAM, 0.2))
    for step in range(1, 5):
        x = right + lean * step / 5
        sketch.stroke([(x, top + 14 - 2.4 * step), (x, 772 - 6 * step)], darker(CREAM, 0.25), 2.5)
    cover = box(left, top, right, 785, 12)
    sketch.fill(cover, lighter(tint, 0.12), darker(tint, 0.12))
    sketch.inside(cover, [box(0, 0, left + 44, 1000)], darker(tint, 0.35))
    sketch.fill([(right - 70, 785), (right - 40, 785), (right - 40, 845), (right - 55, 828), (right - 70, 845)], RED)
    middle = left + wide / 2 + 20
    for y, half, width in ((top + 78, 105, 15), (top + 114, 70, 10)):
        sketch.stroke([(middle - half, y), (middle + half, y)], CREAM, width)
    scene = box(middle - 115, top + 165, middle + 115, 700, 10)
    sketch.fill(scene, lighter(tint, 0.7), lighter(tint, 0.4), down=True)
    sketch.inside(scene, [ellipse(middle + chance.uniform(-50, 50), top + 265, 46)], chance.choice(BRIGHT))
    for shade, base in ((0.1, 555), (0.3, 610), (0.5, 655)):
        hill = [(middle - 130 + step * 65, base + chance.uniform(-24, 24)) for step in range(5)]
        sketch.inside(scene, [[*path(hill), (900, 900), (100, 900)]], darker(tint, shade))


def notebook(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A notebook with an elastic band or a spiral, and a pencil beside it."""
    cover = turned(box(285, 205, 655, 775, 26), -5)
    sketch.fill([(x + 18, y + 16) for x, y in cover], darker(CREAM, 0.28))
    sketch.fill([(x + 12, y + 10) for x, y in cover], CREAM)
    sketch.fill(cover, lighter(tint, 0.18), darker(tint, 0.15))
    if chance.happens(0.5):
        sketch.inside(cover, [turned(box(590, 0, 614, 1000), -5)], darker(tint, 0.5))
        sketch.inside(cover, [turned(box(0, 0, 325, 1000), -5)], darker(tint, 0.25))
    else:
        for y in range(245, 750, 42):
            sketch.fill(turned(ellipse(312, y, 10), -5), darker(tint, 0.55))
            sketch.stroke(turned(ellipse(292, y, 24, 13, 20, 340), -5), lighter(STEEL, 0.3), 7)
    sketch.fill(turned(box(385, 300, 555, 410, 10), -5), CREAM)
    for row, half in enumerate((56, 38)):
        y = 338 + row * 32
        sketch.stroke(turned([(470 - half, y), (470 + half, y)], -5), darker(tint, 0.3), 8)
    _pencil(sketch, 745, chance.choice(BRIGHT), chance.uniform(6, 14))


def _pencil(sketch: Sketch, x: float, colour: Colour, degrees: float, top: float = 290) -> None:
    """A pencil standing on its point."""

    def place(points: Outline) -> Outline:
        return turned(points, degrees, x, 770)

    for left, right, shade in ((-26, -9, 0.0), (-9, 9, 0.14), (9, 26, 0.3)):
        sketch.fill(place(box(x + left, top + 60, x + right, 680)), darker(colour, shade))
    sketch.fill(place(box(x - 27, top + 30, x + 27, top + 66)), lighter(STEEL, 0.4), darker(STEEL, 0.2))
    sketch.fill(place(box(x - 25, top, x + 25, top + 34, 12)), (240, 150, 150))
    sketch.fill(place([(x - 26, 678), (x + 26, 678), (x, 780)]), (240, 210, 168), (212, 172, 124))
    sketch.fill(place([(x - 9, 745), (x + 9, 745), (x, 780)]), darker(colour, 0.5))


def pens(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A cup full of pens and pencils; the tint is the colour of the first."""
    colours = [tint, *chance.sample(BRIGHT, 4)]
    places = ((400, -15, 270), (590, 14, 300), (452, -6, 215), (545, 5, 245), (498, 0, 190))
    for (x, degrees, top), colour in zip(places, reversed(colours), strict=True):
        barrel = turned(box(x - 23, top + 90, x + 23, 700, 8), degrees, x, 700)
        sketch.fill(barrel, lighter(colour, 0.15), darker(colour, 0.25))
        wood = turned([(x - 23, top + 92), (x, top), (x + 23, top + 92)], degrees, x, 700)
        sketch.fill(wood, (242, 214, 172), (212, 172, 124))
        sketch.fill(turned([(x - 8, top + 32), (x, top), (x + 8, top + 32)], degrees, x, 700), darker(colour, 0.2))
    holder = chance.choice([WHITE, CREAM, WOOD, lighter(tint, 0.5), darker(tint, 0.3)])
    # The near brim hides what stands in the cup.
    body = [*ellipse(500, 545, 142, 20, 180, 0), *ellipse(500, 775, 128, 18, 0, 180)]
    sketch.fill(body, lighter(holder, 0.3), darker(holder, 0.22))
    sketch.inside(body, [box(0, 635, 1000, 648), box(0, 662, 1000, 700)], darker(holder, 0.14))
    sketch.stroke(ellipse(500, 545, 142, 20, 0, 180), lighter(holder, 0.6), 7)


def palette(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A painter's palette with dabs of paint and a brush whose handle has the tint."""
    upper = [(190, 520), (260, 340), (460, 250), (690, 290), (815, 450)]
    board = curve([*upper, (770, 600), (640, 610), (590, 700), (430, 775), (260, 700)])
    sketch.fill([(x + 6, y + 20) for x, y in board], darker(WOOD, 0.45))
    sketch.fill(board, lighter(WOOD, 0.45), lighter(WOOD, 0.05))
    sketch.fill(ellipse(480, 660, 48, 40), darker(WOOD, 0.35))
    sketch.fill(ellipse(484, 667, 43, 34), darker(WOOD, 0.55))
    colours = chance.sample(BRIGHT, 6)
    places = ((300, 600), (290, 470), (380, 365), (510, 325), (640, 370), (715, 480))
    for (x, y), colour in zip(places, colours, strict=True):
        dab = curve([(x + chance.uniform(38, 54) * dx, y + chance.uniform(38, 54) * dy) for dx, dy in DAB])
        sketch.fill([(px + 3, py + 7) for px, py in dab], darker(colour, 0.35))
        sketch.fill(dab, lighter(colour, 0.12), darker(colour, 0.08))
        sketch.stroke(ellipse(x - 3, y - 3, 24, 20, 200, 260), lighter(colour, 0.65), 7)
    sketch.fill(turned(box(485, 330, 515, 800, 12), 52, 500, 560), lighter(tint, 0.15), darker(tint, 0.35))
    sketch.fill(turned(box(478, 255, 522, 345, 5), 52, 500, 560), lighter(STEEL, 0.4), darker(STEEL, 0.25))
    bristle = turned(curve([(480, 258), (474, 205), (500, 130), (526, 205), (520, 258)]), 52, 500, 560)
    sketch.fill(bristle, colours[0], darker(INK, 0.2))
