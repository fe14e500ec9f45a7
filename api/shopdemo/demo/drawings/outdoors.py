"""Drawings of the outdoor and sports department."""

from api.shopdemo.demo.sketch import (
    CREAM,
    INK,
    LEAF,
    STEEL,
    WHITE,
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
    whole,
)


def backpack(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A backpack with a front pocket and straps."""
    wide, top = chance.uniform(190, 220), chance.uniform(225, 270)
    accent = chance.choice([(196, 142, 90), darker(tint, 0.5), lighter(tint, 0.55)])
    sketch.stroke(path([(440, top + 20), (450, top - 60), (550, top - 60), (560, top + 20)]), darker(tint, 0.5), 24)
    for side in (-1, 1):
        x = 500 + side * (wide + 6)
        sketch.fill(box(x - 38, 560, x + 38, 755, 30), darker(tint, 0.35))
    body = box(500 - wide, top, 500 + wide, 785, 140)
    sketch.fill(body, lighter(tint, 0.2), darker(tint, 0.2))
    sketch.stroke(ellipse(500, top + 190, wide - 26, 150, 190, 350), darker(tint, 0.4), 9)
    pocket = box(500 - wide * 0.74, 530, 500 + wide * 0.74, 748, 34)
    sketch.fill([(x, y + 8) for x, y in pocket], darker(tint, 0.42))
    sketch.fill(pocket, lighter(tint, 0.08), darker(tint, 0.26))
    sketch.inside(pocket, [box(0, 530, 1000, 582)], darker(tint, 0.3))
    sketch.stroke([(520 - wide * 0.74, 584), (480 + wide * 0.74, 584)], accent, 7)
    sketch.fill(box(488, 584, 512, 626, 8), accent)
    if chance.happens(0.55):
        for side in (-1, 1):
            x = 500 + side * wide * 0.45
            sketch.fill(box(x - 14, top + 84, x + 14, 545, 6), accent, darker(accent, 0.2))
            sketch.fill(box(x - 20, 470, x + 20, 500, 5), lighter(STEEL, 0.2))
    else:
        sketch.fill(box(452, top + 118, 548, top + 190, 12), accent)
        sketch.stroke([(476, top + 154), (524, top + 154)], darker(accent, 0.35), 8)


def tent(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A pitched tent on grass under the moon."""
    sketch.fill(ellipse(chance.choice([270, 735]), 270, 56), CREAM)
    sketch.fill(ellipse(500, 790, 400, 52), lighter(LEAF, 0.25))
    peak, wide = chance.uniform(290, 350), chance.uniform(285, 330)
    if chance.kind("dome", "pyramid") == "dome":
        hull = path([(500 - wide, 785), (545 - wide, 560), (500, peak), (455 + wide, 560), (500 + wide, 785)])
    else:
        hull = [(500 - wide, 785), (500, peak), (500 + wide, 785)]
        sketch.stroke([(500, peak + 10), (480, peak - 46)], darker(STEEL, 0.4), 10)
        sketch.stroke([(500, peak + 10), (520, peak - 46)], darker(STEEL, 0.4), 10)
    sketch.fill(hull, lighter(tint, 0.25), darker(tint, 0.22))
    sketch.inside(hull, [[(500, peak), (1000, peak), (1000, 900), (660, 900)]], darker(tint, 0.2))
    sketch.inside(hull, [box(0, 752, 1000, 800)], darker(tint, 0.42))
    sketch.inside(hull, [[(500, peak + 90), (612, 800), (388, 800)]], darker(tint, 0.68))
    sketch.inside(hull, [[(500, peak + 90), (470, 640), (400, 800), (340, 800)]], lighter(tint, 0.5))
    sketch.inside(hull, [[(500, peak + 90), (530, 640), (600, 800), (660, 800)]], lighter(tint, 0.3))
    for side in (-1, 1):
        sketch.stroke([(500 + side * wide * 0.62, 600), (500 + side * (wide + 75), 790)], lighter(CREAM, 0.2), 4)
        for step in range(3):
            x = 500 + side * (wide + 10 + step * 16)
            sketch.stroke([(x, 796), (x + side * 6, 762 + step * 6)], darker(LEAF, 0.15), 6)


def bottle(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A drinking bottle with a screw cap and a loop."""
    wide, top = chance.uniform(100, 138), chance.uniform(330, 390)
    neck = wide * chance.uniform(0.55, 0.8)
    left = 500 - wide
    half = path([(500 - neck, top - 50), (500 - neck, top), (left, top + 90), (left, 640), (left + 4, 770)])
    body = whole([*half, *ellipse(500, 768, wide - 4, 18, 180, 90)])
    lid = chance.choice([INK, STEEL, darker(tint, 0.45), (196, 148, 100)])
    sketch.stroke(ellipse(500, top - 125, 52, 56, 180, 360), darker(lid, 0.2), 19)
    sketch.fill(box(484 - neck, top - 128, 516 + neck, top - 44, 16), lighter(lid, 0.25), darker(lid, 0.3))
    for x in range(int(500 - neck), int(520 + neck), 22):
        sketch.stroke([(x, top - 108), (x, top - 62)], darker(lid, 0.35), 4)
    sketch.fill(body, lighter(tint, 0.28), darker(tint, 0.28))
    sketch.inside(body, [box(0, top - 44, 1000, top - 32), box(0, 738, 1000, 800)], darker(tint, 0.32))
    accent = chance.choice([WHITE, CREAM, lighter(tint, 0.55)])
    if chance.happens(0.5):
        peaks = [(350, 640), (440, 540), (490, 600), (545, 520), (650, 640)]
        sketch.inside(body, [peaks], accent)
    else:
        drop = curve([(500, 505), (540, 580), (500, 628), (460, 580)])
        sketch.fill(drop, accent)
    sketch.stroke([(528 - wide, top + 130), (528 - wide, 700)], lighter(tint, 0.65), 12)


def ball(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A basketball, football or volleyball."""
    radius = chance.uniform(235, 268)
    y = 785 - radius
    sphere = ellipse(500, y, radius)
    sketch.fill(sphere, lighter(tint, 0.25), darker(tint, 0.22))
    crescent = [*ellipse(500, y, radius, None, -40, 130), *ellipse(455, y - 40, radius, None, 130, -40)]
    sketch.inside(sphere, [crescent], darker(tint, 0.24))
    seams = {"basketball": _ribs, "football": _patches, "volleyball": _strips}
    kind = chance.kind(*seams)
    degrees = chance.uniform(-25, 25)
    parts = [turned(part, degrees) for part in seams[kind]()]
    placed = [[(500 + (px - 500) * radius, y + (py - 500) * radius) for px, py in part] for part in parts]
    sketch.inside(sphere, placed, darker(tint, 0.45 if kind == "volleyball" else 0.72))
    x, gleam = 500 - radius * 0.42, y - radius * 0.52
    sketch.fill(turned(ellipse(x, gleam, 54, 28), -38, x, gleam), lighter(tint, 0.6))


def _band(line: Outline, width: float = 0.045) -> Outline:
    """A line as an outline: pushed outwards and inwards from the centre of the ball by half a width."""
    sides = [[(x + dx, y + dy) for x, y in line] for dx, dy in ((-width / 2, -width / 2), (width / 2, width / 2))]
    return [*sides[0], *reversed(sides[1])]


def _ribs() -> list[Outline]:
    """Seams of a basketball of radius 1 round (500, 500)."""
    upright = [(500.0, 499.0), (500.0, 501.0)]
    arcs = [ellipse(501.05, 500, 0.62, 0.9, 90, 270), ellipse(498.95, 500, 0.62, 0.9, -90, 90)]
    return [_band(line) for line in (upright, [(499.0, 500.0), (501.0, 500.0)], *arcs)]


def _patches() -> list[Outline]:
    """Patches and seams of a football of radius 1 round (500, 500)."""
    parts: list[Outline] = []
    for corner in range(5):
        spoke = [(500.0, 499.64), (500.0, 499.3)]
        patch = [(499.78, 499.14), (500.0, 499.3), (500.22, 499.14), (500.14, 498.9), (499.86, 498.9)]
        join = [(500.22, 499.14), (500.44, 499.2), (500.62, 499.26)]
        parts += [turned(part, corner * 72) for part in (_band(spoke), patch, _band(join))]
    return [*parts, [turned([(500.0, 499.64)], corner * 72)[0] for corner in range(5)]]


def _strips() -> list[Outline]:
    """Seams of a volleyball of radius 1 round (500, 500): three bent strips in each third."""
    bends = (
        [(500.0, 500.0), (500.3, 499.6), (500.25, 499.0)],
        [(500.13, 500.3), (500.52, 499.88), (500.62, 499.15)],
        [(500.36, 500.58), (500.74, 500.16), (500.92, 499.55)],
    )
    seams = [_band(path(line), 0.04) for line in bends]
    return [turned(seam, third * 120) for third in range(3) for seam in seams]
