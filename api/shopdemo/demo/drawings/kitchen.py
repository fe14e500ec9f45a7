"""Drawings of the kitchen department."""

from api.shopdemo.demo.sketch import (
    CREAM,
    INK,
    STEEL,
    WHITE,
    WOOD,
    Colour,
    Sketch,
    Variation,
    box,
    curve,
    darker,
    ellipse,
    lighter,
    path,
    tub,
    turned,
    whole,
)

# Kinds of knives: how broad the blade is, and how far its point reaches back.
_BLADES = {"santoku": (104, 70), "cleaver": (178, 6), "chef": (88, 110), "paring": (60, 60), "bread": (62, 40)}


def mug(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A mug with a handle and, by chance, a band, a glazed foot or dots."""
    wide, top = chance.uniform(160, 190), chance.uniform(350, 430)
    middle = (top + 780) / 2
    sketch.stroke(ellipse(472 + wide, middle, 102, 94, -100, 100), darker(tint, 0.22), 38)
    body = tub(470, top, 765, wide, wide * chance.choice([1, 0.86]))
    sketch.fill(body, lighter(tint, 0.2), darker(tint, 0.24))
    accent = chance.choice([CREAM, darker(tint, 0.4), lighter(tint, 0.55)])
    pattern = chance.kind("band", "foot", "dots")
    if pattern == "band":
        sketch.inside(body, [tub(470, middle - 30, middle + 30, wide + 9, wide + 9)], accent)
    elif pattern == "foot":
        sketch.inside(body, [box(0, middle + 90, 1000, 1000)], accent)
    else:
        places = [(x, y) for row, y in enumerate(range(480, 780, 80)) for x in range(270 + row % 2 * 45, 700, 90)]
        sketch.inside(body, [ellipse(x, y, 15) for x, y in places], accent)
    sketch.fill(ellipse(470, top, wide, wide * 0.14), lighter(tint, 0.5))
    sketch.fill(ellipse(470, top + 3, wide - 13, wide * 0.12 - 2), (104, 66, 44), (66, 40, 30))
    sketch.stroke([(470 - wide * 0.78, top + 75), (470 - wide * 0.74, 690)], lighter(tint, 0.55), 13)


def bowl(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A bowl of rice with chopsticks."""
    wide, top = chance.uniform(240, 280), chance.uniform(480, 520)
    sketch.fill(tub(500, 745, 775, 105, 115), darker(tint, 0.35))
    side = path([(500 - wide, top), (525 - wide, 610), (600 - wide, 705), (400, 755)])
    body = whole(side)
    sketch.fill(body, lighter(tint, 0.22), darker(tint, 0.28))
    accent = chance.choice([CREAM, lighter(tint, 0.55), darker(tint, 0.4)])
    if chance.happens(0.5):
        sketch.inside(body, [ellipse(x, 620, 26) for x in range(240, 780, 74)], accent)
    else:
        sketch.inside(body, [box(0, 585, 1000, 600), box(0, 612, 1000, 620)], accent)
    sketch.fill(ellipse(500, top, wide, 48), lighter(tint, 0.45))
    sketch.fill(ellipse(500, top + 4, wide - 16, 38), darker(tint, 0.3))
    heap = path([(522 - wide, top + 8), (380, top - 62), (500, top - 96), (630, top - 58), (478 + wide, top + 8)])
    rice = [*heap, *ellipse(500, top + 6, wide - 22, 36, 0, 180)]
    sketch.fill(rice, WHITE, (226, 222, 214))
    grains = [(chance.uniform(340, 660), chance.uniform(top - 50, top + 20), chance.uniform(0, 180)) for _ in range(34)]
    sketch.inside(rice, [turned(ellipse(x, y, 11, 4), degrees, x, y) for x, y, degrees in grains], (224, 217, 203))
    for shift in (0, 42):
        sketch.stroke([(560 + shift, top - 60), (775 + shift * 0.5, top - 275)], darker(WOOD, 0.3 - shift / 300), 15)


def pot(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A cooking pot with two handles and a lid."""
    wide, top = chance.uniform(225, 265), chance.uniform(490, 540)
    for side in (-1, 1):
        near, far = 500 + side * (wide - 10), 500 + side * (wide + 66)
        sketch.stroke(path([(near, top + 50), (far, top + 52), (near, top + 105)]), darker(tint, 0.42), 26)
    body = tub(500, top, 765, wide, wide * 0.93, 0.12)
    sketch.fill(body, lighter(tint, 0.22), darker(tint, 0.32))
    sketch.inside(body, [tub(500, 742, 800, wide, wide, 0.12)], darker(tint, 0.42))
    sketch.fill(tub(500, top - 10, top + 6, wide + 12, wide + 12, 0.12), lighter(STEEL, 0.35), darker(STEEL, 0.3))
    cover = (206, 224, 230) if chance.happens(0.4) else tint
    dome = [*ellipse(500, top - 14, wide, wide * 0.46, 180, 360), *ellipse(500, top - 14, wide, wide * 0.12, 0, 180)]
    sketch.fill(dome, lighter(cover, 0.3), darker(cover, 0.22))
    knob = chance.choice([WOOD, INK, STEEL])
    peak = top - 14 - wide * 0.46
    sketch.fill(box(484, peak - 26, 516, peak + 8, 6), darker(knob, 0.3))
    sketch.fill(ellipse(500, peak - 34, 44, 20), lighter(knob, 0.25), darker(knob, 0.2))
    sketch.stroke(ellipse(500, top - 14, wide * 0.8, wide * 0.34, 200, 250), lighter(cover, 0.65), 12)
    sketch.stroke([(522 - wide * 0.92, top + 60), (524 - wide * 0.9, 690)], lighter(tint, 0.5), 13)


def knife(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A kitchen knife on a chopping board; the tint is the colour of the handle."""
    board = box(250, 190, 750, 810, 46)
    sketch.fill([(x + 10, y + 16) for x, y in board], darker(WOOD, 0.4))
    sketch.fill(board, lighter(WOOD, 0.35), lighter(WOOD, 0.05))
    grain = [path([(x, 180), (x + 14, 400), (x - 8, 600), (x + 6, 820)]) for x in range(300, 750, 62)]
    sketch.inside(board, [[*line, *((x + 5, y) for x, y in reversed(line))] for line in grain], lighter(WOOD, 0.08))
    sketch.fill(ellipse(500, 238, 22), darker(WOOD, 0.35))
    broad, point = _BLADES[chance.kind(*_BLADES)]
    degrees = chance.choice([38, 45, 52])
    tip = [(455, 215 + point * 0.2), (455 + broad * 0.7, 225 + point), (455 + broad, 300 + point)]
    blade = turned([(455, 600), *path(tip), (455 + broad, 600)], degrees)
    sketch.fill([(x + 8, y + 12) for x, y in blade], WOOD)
    sketch.fill(blade, lighter(STEEL, 0.65), STEEL)
    edge = turned(box(455 + broad * 0.78, 200, 700, 620), degrees)
    sketch.inside(blade, [edge], WHITE)
    handle = turned(curve([(452, 598), (508, 598), (502, 700), (516, 812), (462, 822), (450, 700)]), degrees)
    sketch.fill(handle, lighter(tint, 0.12), darker(tint, 0.3))
    for y in (645, 705, 765):
        sketch.fill(turned(ellipse(480, y, 9), degrees), lighter(STEEL, 0.4))
