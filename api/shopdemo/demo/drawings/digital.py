"""Drawings of the digital department."""

from api.shopdemo.demo.sketch import (
    INK,
    STEEL,
    WHITE,
    Colour,
    Sketch,
    Variation,
    box,
    curve,
    darker,
    ellipse,
    lighter,
    mirrored,
    path,
    turned,
)


def headphones(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """Over-ear headphones, seen from the front."""
    span, arch = chance.uniform(205, 235), chance.uniform(270, 320)
    band = ellipse(500, 540, span, arch, 180, 360)
    sketch.stroke(band, darker(tint, 0.3), 46)
    sketch.stroke(ellipse(500, 540, span + 6, arch + 8, 190, 350), lighter(tint, 0.15), 18)
    sketch.stroke(ellipse(500, 545, span - 26, arch - 28, 225, 315), darker(tint, 0.55), 20)
    emblem = chance.choice([STEEL, (238, 186, 84), (226, 108, 86)])
    for side in (False, True):
        arm = box(482 - span, 500, 518 - span, 590, 14)
        pad = box(512 - span, 530, 578 - span, 765, 33)
        shell = curve([(500 - span, 525), (440 - span, 565), (420 - span, 648), (440 - span, 735), (500 - span, 772)])
        parts = [(arm, STEEL, darker(STEEL, 0.3)), (pad, darker(tint, 0.62), darker(tint, 0.45))]
        parts.append(([*shell, (530 - span, 765), (530 - span, 535)], lighter(tint, 0.25), darker(tint, 0.15)))
        for outline, colour, to in parts:
            sketch.fill(mirrored(outline) if side else outline, colour, to)
        ring = ellipse(470 - span, 648, 16, 62)
        sketch.fill(mirrored(ring) if side else ring, emblem)


def keyboard(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A keyboard from above, with a few coloured keys."""
    rows, columns = chance.choice([(4, 11), (5, 13), (5, 15)])
    pitch = 690 / columns
    height = rows * pitch + 54
    top, left = 510 - height / 2, 155 - 27
    case = box(left, top, left + 744, top + height, 30)
    sketch.fill([(x, y + 24) for x, y in case], darker(tint, 0.55))
    sketch.fill(case, lighter(tint, 0.1), darker(tint, 0.18), down=True)
    cap = chance.choice([WHITE, (238, 232, 222), (70, 72, 88), lighter(tint, 0.6)])
    accent = chance.choice([(240, 140, 90), (238, 186, 84), (98, 170, 190), (226, 108, 126)])
    for row in range(rows):
        y = top + 27 + row * pitch
        column = 0
        while column < columns:
            span = _key_width(row, column, rows, columns)
            colour = accent if (row, column) in ((0, 0), (rows - 2, columns - 2)) else cap
            colour = darker(colour, 0.12) if span > 1 else colour
            x = 155 + column * pitch
            key = box(x + 3, y + 3, x + span * pitch - 3, y + pitch - 3, 7)
            sketch.fill(key, darker(colour, 0.28))
            sketch.fill(box(x + 7, y + 4, x + span * pitch - 7, y + pitch - 10, 6), colour)
            column += span
    cable = [(500, top), (505, top - 60), (555, top - 110), (560, top - 200)]
    sketch.stroke(path(cable), INK, 11)


def _key_width(row: int, column: int, rows: int, columns: int) -> int:
    if row == rows - 1 and column == 3:
        return columns - 7
    return 2 if (row, column) in ((0, columns - 2), (rows - 2, columns - 2), (1, columns - 2)) else 1


def speaker(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A loudspeaker: a tall box with two cones, or a rounded portable one."""
    wide, top = chance.uniform(155, 205), chance.uniform(255, 350)
    body = box(500 - wide, top, 500 + wide, 785, chance.choice([26, 60, 110]))
    sketch.fill([(x + 16, y) for x, y in body], darker(tint, 0.45))
    sketch.fill(body, lighter(tint, 0.2), darker(tint, 0.2))
    low = 790 - wide * 0.98
    high = (top + low - wide * 0.72) / 2 + 10
    for y, radius in ((low, wide * 0.72), (high, min(wide * 0.36, (low - wide * 0.72 - top) * 0.38))):
        sketch.fill(ellipse(500, y, radius), darker(tint, 0.55))
        sketch.fill(ellipse(500, y, radius * 0.9), (58, 58, 72), (88, 90, 106))
        sketch.fill(ellipse(500, y, radius * 0.66), (84, 86, 102), (52, 52, 66))
        sketch.fill(ellipse(500, y, radius * 0.3), lighter(STEEL, 0.2), darker(STEEL, 0.3))
        sketch.stroke(ellipse(500, y, radius * 0.78, None, 200, 260), (130, 132, 150), 6)
    sketch.fill(ellipse(500 + wide * 0.72, top + wide * 0.32, 9), (124, 214, 150))
    for step in range(2):
        reach = 60 + step * 46
        for angle in (-28, 152):
            wave = ellipse(500, low, wide + reach, None, angle, angle + 56)
            sketch.stroke(wave, WHITE, 12)


def power_bank(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A power bank with its cable and charge lights."""
    degrees, wide, tall = chance.choice([-12, -8, 8, 12]), chance.uniform(150, 190), chance.uniform(235, 275)
    cable = [(500, 520 - tall), (500, 220), (600, 150), (720, 190), (760, 300), (790, 380)]
    sketch.stroke(path([*turned(cable[:1], degrees, 500, 520), *cable[1:]]), darker(tint, 0.5), 20)
    sketch.fill(turned(box(768, 370, 828, 450, 10), -14, 798, 410), INK)
    sketch.fill(turned(box(780, 450, 816, 490, 4), -14, 798, 410), STEEL)
    radius = chance.choice([34, 60])
    body = turned(box(500 - wide, 520 - tall, 500 + wide, 520 + tall, radius), degrees, 500, 520)
    sketch.fill([(x + 16, y + 14) for x, y in body], darker(tint, 0.5))
    sketch.fill(body, lighter(tint, 0.25), darker(tint, 0.15))
    sketch.inside(body, [turned(box(0, 520 - tall, 1000, 560 - tall), degrees, 500, 520)], darker(tint, 0.35))
    bolt = [(515, 440), (440, 545), (490, 545), (478, 630), (560, 515), (508, 515), (530, 440)]
    sketch.fill(turned(bolt, degrees, 500, 520), lighter(tint, 0.75))
    full = chance.choice(range(2, 5))
    for light in range(4):
        spot = turned(ellipse(446 + light * 36, 470 + tall, 9), degrees, 500, 520)
        sketch.fill(spot, (150, 240, 176) if light < full else darker(tint, 0.4))
