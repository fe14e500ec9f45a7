"""Drawings of the garden department."""

from api.shopdemo.demo.sketch import (
    CREAM,
    LEAF,
    WHITE,
    Colour,
    Outline,
    Sketch,
    Variation,
    box,
    curve,
    darker,
    ellipse,
    leaf,
    lighter,
    path,
    tub,
    turned,
)

TERRACOTTA: Colour = (206, 122, 84)
PETALS: tuple[Colour, ...] = ((238, 110, 130), (250, 190, 80), (168, 120, 200), (244, 140, 92), (236, 236, 246))
POTS: tuple[Colour, ...] = (TERRACOTTA, WHITE, (120, 150, 170), (228, 196, 150), (96, 104, 116))


def _pot(sketch: Sketch, colour: Colour, top: float, wide: float) -> None:
    body = tub(500, top + 40, 770, wide * 0.94, wide * 0.68)
    sketch.fill(body, lighter(colour, 0.2), darker(colour, 0.25))
    sketch.fill(tub(500, top, top + 44, wide + 8, wide + 6), lighter(colour, 0.28), darker(colour, 0.18))
    sketch.fill(ellipse(500, top, wide + 8, wide * 0.14), lighter(colour, 0.35))
    sketch.fill(ellipse(500, top + 3, wide - 8, wide * 0.115), (92, 68, 54))


def houseplant(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A potted plant: broad leaves, sword leaves or round leaves on stems; the tint is the colour of its leaves."""
    _pot(sketch, chance.choice(POTS), 585, chance.uniform(125, 150))
    kind = chance.kind("broad", "swords", "round")
    count = chance.choice(range(6, 9))
    spread = [-1 + 2 * step / (count - 1) for step in range(count)]
    for turn in sorted(spread, key=abs, reverse=True):
        colour = darker(tint, abs(turn) * 0.28)
        degrees = turn * (34 if kind == "swords" else 72) + chance.uniform(-4, 4)
        length = chance.uniform(265, 345) * (1.2 if kind == "swords" else 0.72 - 0.13 * abs(turn))
        x, y = 500 + turn * 50, 589.0
        if kind != "swords":
            stem = turned([(x, y), (x, y - length * 0.7)], degrees * 0.8, x, y)
            sketch.stroke(stem, darker(tint, 0.3), 9)
            x, y = stem[1]
        if kind == "round":
            sketch.fill(ellipse(x, y - 20, 68, 62), lighter(colour, 0.18), darker(colour, 0.18))
            sketch.fill(ellipse(x - 14, y - 34, 22, 16), lighter(colour, 0.32))
            continue
        blade = leaf(x, y, length, 74 if kind == "swords" else 150, degrees)
        sketch.fill(blade, lighter(colour, 0.2), darker(colour, 0.2))
        sketch.stroke(turned([(x, y), (x, y - length * 0.85)], degrees, x, y), lighter(colour, 0.38), 5)


def cactus(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A cactus or a rosette of leaves in a pot."""
    _pot(sketch, chance.choice(POTS), 610, chance.uniform(135, 165))
    kind = chance.kind("column", "ball", "rosette")
    if kind == "rosette":
        _rosette(sketch, tint)
        return
    if kind == "column":
        for side, height in ((-1, chance.uniform(60, 110)), (1, chance.uniform(90, 150))):
            joint = 560 - height
            arm = path([(500 + side * 60, joint), (500 + side * 150, joint), (500 + side * 158, joint - 110)])
            sketch.stroke(arm, darker(tint, 0.12 if side < 0 else 0.25), 62)
    wide, top = (92, 320) if kind == "column" else (140, 395)
    _ribbed(sketch, tint, wide, top)
    if chance.happens(0.75):
        _blossom(sketch, 500, top - 6, 42, chance.choice(PETALS))


def _rosette(sketch: Sketch, tint: Colour) -> None:
    for ring, (count, length) in enumerate(((9, 215), (8, 165), (6, 112))):
        for step in range(count):
            degrees = -92 + 184 * (step + 0.5) / count
            petal = leaf(500, 618 - ring * 16, length, 96 - ring * 14, degrees)
            sketch.fill(petal, lighter(tint, 0.12 + ring * 0.14), darker(tint, 0.22 - ring * 0.06))


def _ribbed(sketch: Sketch, tint: Colour, wide: float, top: float) -> None:
    """The round-topped body of a cactus, with ribs and thorns."""
    body = [(x, min(y, 622)) for x, y in box(500 - wide, top, 500 + wide, 670, wide * 0.98)]
    sketch.fill(body, lighter(tint, 0.22), darker(tint, 0.22))
    for share in (-0.6, -0.2, 0.2, 0.6):
        x = 500 + wide * share
        rise = top + wide * (1 - (1 - share * share) ** 0.5) + 22
        sketch.stroke([(x, rise), (x, 608)], darker(tint, 0.3), 5)
        for y in range(int(rise) + 20, 600, 36):
            sketch.stroke([(x - 9, y - 7), (x, y), (x + 9, y - 7)], CREAM, 4)


def _blossom(sketch: Sketch, x: float, y: float, radius: float, colour: Colour) -> None:
    for degrees in range(0, 360, 60):
        petal = turned(ellipse(x, y - radius * 0.7, radius * 0.42, radius * 0.62), degrees, x, y)
        sketch.fill(petal, lighter(colour, 0.12), darker(colour, 0.1))
    sketch.fill(ellipse(x, y, radius * 0.4), (250, 206, 92), (224, 160, 60))


def watering_can(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A watering can, pouring."""
    wide, top = chance.uniform(140, 175), chance.uniform(450, 500)
    grip = [(575, top), (600, top - 125), (610 + wide, top - 70), (640 + wide, 590), (550 + wide, 700)]
    sketch.stroke(path(grip), darker(tint, 0.3), 28)
    left = 560 - wide
    spout = [(left + 40, 700), (left + 40, 580), (left - 165, top - 70), (left - 200, top - 50), (left + 40, 748)]
    sketch.fill(spout, lighter(tint, 0.1), darker(tint, 0.2))
    rose = turned(box(330 - wide, top - 90, 425 - wide, top - 62, 10), -35, 378 - wide, top - 70)
    sketch.fill(rose, darker(tint, 0.4))
    body = tub(560, top, 768, wide * 0.9, wide)
    sketch.fill(body, lighter(tint, 0.25), darker(tint, 0.25))
    accent = chance.choice([CREAM, lighter(tint, 0.5), darker(tint, 0.4)])
    if chance.happens(0.5):
        sketch.inside(body, [tub(560, 570, 590, 230, 230), tub(560, 730, 745, 230, 230)], accent)
    else:
        _blossom(sketch, 555, 645, 62, chance.choice(PETALS))
    sketch.fill(ellipse(560, top, wide * 0.9, wide * 0.126), darker(tint, 0.45))
    sketch.fill(ellipse(560, top + 2, wide * 0.9, wide * 0.13, 0, 180), lighter(tint, 0.3))
    for drop in range(5):
        x, y = 345 - wide - drop * 16, top + 10 + drop % 3 * 58 + drop * 18
        sketch.fill(curve([(x, y - 20), (x + 11, y + 4), (x, y + 15), (x - 11, y + 4)]), (122, 184, 224))


def seeds(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A seed packet with the grown flower on it; the tint is the colour of the flower."""
    degrees = chance.choice([-7, -4, 4, 7])

    def place(outline: Outline) -> Outline:
        return turned(outline, degrees)

    packet = place(box(325, 205, 675, 785, 10))
    paper = chance.choice([CREAM, (232, 240, 226), (246, 234, 226)])
    sketch.fill([(x + 12, y + 12) for x, y in packet], darker(paper, 0.4))
    sketch.fill(packet, lighter(paper, 0.3), darker(paper, 0.08))
    sketch.inside(packet, [place(box(0, 0, 1000, 262))], darker(tint, 0.12))
    sketch.inside(packet, [place(box(0, 715, 1000, 1000))], LEAF)
    for y, half, width in ((305, 110, 15), (339, 70, 10)):
        sketch.stroke(place([(500 - half, y), (500 + half, y)]), darker(tint, 0.3), width)
    sketch.stroke(place([(500, 480), (500, 714)]), darker(LEAF, 0.15), 13)
    for side, start in ((-1, 690), (1, 650)):
        sketch.fill(place(leaf(500, start, 130, 78, side * 58)), LEAF, darker(LEAF, 0.2))
    petals = chance.choice([6, 8, 11])
    for step in range(petals):
        petal = place(leaf(500, 480, 118, 380 / petals + 26, step * 360 / petals))
        sketch.fill(petal, lighter(tint, 0.3), darker(tint, 0.1))
    sketch.fill(place(ellipse(500, 480, 38)), (250, 206, 92), (200, 130, 60))
    for grain in range(5):
        gx, gy = 250 + grain * 34, 812 + grain % 2 * 18
        sketch.fill(turned(ellipse(gx, gy, 15, 8), grain * 40, gx, gy), (126, 92, 62))
