"""Drawings of the home department."""

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
    blend,
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

GLOW: Colour = (255, 236, 170)


def lamp(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A table lamp with a lit shade."""
    wide, foot = chance.uniform(200, 245), chance.kind("pole", "vase", "drop")
    sketch.fill(ellipse(500, 420, wide + 120), blend(GLOW, WHITE, 0.35))
    sketch.fill(tub(500, 762, 778, 120, 128, 0.16), darker(WOOD, 0.15), darker(WOOD, 0.45))
    if foot == "pole":
        sketch.fill(box(486, 480, 514, 765), lighter(STEEL, 0.3), darker(STEEL, 0.35))
        sketch.fill(ellipse(500, 640, 26), lighter(WOOD, 0.2), darker(WOOD, 0.25))
    else:
        low, high = (40, 92) if foot == "vase" else (96, 34)
        half = path([(472, 500), (500 - low, 580), (500 - high, 690), (440, 765)])
        sketch.fill(whole(half), lighter(WOOD, 0.35), darker(WOOD, 0.25))
    narrow = wide * chance.uniform(0.5, 0.8)
    shade = tub(500, 250, 505, narrow, wide, 0.1)
    sketch.fill(shade, lighter(tint, 0.45), tint)
    sketch.inside(shade, [tub(500, 492, 530, wide, wide, 0.1)], darker(tint, 0.12))
    sketch.fill(ellipse(500, 250, narrow, narrow * 0.1), GLOW)
    sketch.stroke([(500 + wide * 0.55, 520), (500 + wide * 0.55, 600)], darker(STEEL, 0.4), 4)
    sketch.fill(ellipse(500 + wide * 0.55, 608, 10), darker(WOOD, 0.1))


def cushion(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A plump square cushion in one of four patterns."""
    quarter = [(220, 265), (360, 300), (500, 306), (640, 300), (780, 265)]
    sides = [*quarter, (752, 400), (748, 520), (752, 640), (780, 780), (640, 748), (500, 742), (360, 748)]
    shape = curve([*sides, (220, 780), (248, 640), (252, 520), (248, 400)])
    sketch.fill(shape, lighter(tint, 0.22), darker(tint, 0.2), down=True)
    accent = chance.choice([CREAM, lighter(tint, 0.5), darker(tint, 0.35)])
    pattern = chance.kind("stripes", "checks", "dots", "rings")
    parts = {
        "stripes": [box(x, 200, x + 26, 900) for x in range(290, 760, 74)],
        "checks": [box(x, y, x + 58, y + 58) for x in range(210, 800, 116) for y in range(250, 800, 116)],
        "dots": [ellipse(x, y, 20) for x in range(300, 740, 100) for y in range(350, 740, 90)],
        "rings": [ellipse(500, 520, 150)],
    }[pattern]
    sketch.inside(shape, parts, accent)
    if pattern == "rings":
        sketch.fill(ellipse(500, 520, 112), tint)
        sketch.fill(ellipse(500, 520, 70), accent)
        sketch.fill(ellipse(500, 520, 32), tint)
    sketch.stroke([*shape, shape[0]], darker(tint, 0.3), 7)
    for crease in ([(262, 310), (310, 345), (330, 390)], [(738, 735), (696, 700), (672, 655)]):
        sketch.stroke(path(crease), darker(tint, 0.25), 6)


def clock(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A round wall clock."""
    rim = chance.uniform(22, 52)
    sketch.fill(ellipse(508, 520, 288), darker(tint, 0.5))
    sketch.fill(ellipse(500, 505, 288), lighter(tint, 0.25), darker(tint, 0.28))
    face = chance.choice([WHITE, CREAM, (240, 244, 248)])
    sketch.fill(ellipse(500, 505, 288 - rim), darker(face, 0.16))
    sketch.fill(ellipse(502, 509, 282 - rim), face)
    inner = 258 - rim
    for hour in range(12):
        long, wide = (34, 13) if hour % 3 == 0 else (16, 8)
        sketch.stroke(_ray(hour * 30, inner - long, inner), INK, wide)
    hour, minute = chance.choice([(10, 10), (8, 20), (1, 50), (9, 15)])
    sketch.stroke(_ray(hour * 30 + minute / 2, -26, inner * 0.52), INK, 18)
    sketch.stroke(_ray(minute * 6, -26, inner * 0.8), INK, 11)
    sketch.stroke(_ray(chance.uniform(190, 260), -45, inner * 0.84), (222, 84, 72), 5)
    sketch.fill(ellipse(500, 505, 17), (222, 84, 72))


def _ray(degrees: float, start: float, end: float) -> Outline:
    """A line away from the middle of the clock, towards twelve at 0 degrees."""
    return turned([(500, 505 - start), (500, 505 - end)], degrees, 500, 505)


def candle(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A burning candle in a glass."""
    wide, top = chance.uniform(150, 190), chance.uniform(400, 470)
    sketch.fill(ellipse(500, top - 90, 200), blend(GLOW, WHITE, 0.45))
    sketch.fill(ellipse(500, top - 90, 120), blend(GLOW, WHITE, 0.1))
    glass = tub(500, top, 768, wide, wide * 0.94)
    sketch.fill(glass, lighter(tint, 0.72), lighter(tint, 0.45))
    wax = tub(500, top + 78, 758, wide - 12, wide * 0.94 - 10)
    sketch.fill(wax, lighter(tint, 0.15), darker(tint, 0.15))
    sketch.fill(ellipse(500, top + 78, wide - 12, wide * 0.13), lighter(tint, 0.4))
    sketch.fill(box(425, 575, 575, 695, 12), CREAM, darker(CREAM, 0.08))
    for row, half in enumerate((46, 30)):
        sketch.stroke([(500 - half, 622 + row * 28), (500 + half, 622 + row * 28)], darker(tint, 0.3), 7)
    sketch.stroke([(500, top + 78), (502, top - 4)], INK, 7)
    for share, colour in ((1, (250, 168, 66)), (0.62, (255, 222, 120)), (0.3, WHITE)):
        side = [(500 + 40 * share, top - 58 * share), (500 + 26 * share, top - 8), (500, top + 4)]
        sketch.fill(whole(path([(500, top - 150 * share - 6), *side])), colour)
    sketch.stroke(ellipse(500, top, wide, wide * 0.14), WHITE, 6)
    sketch.stroke([(520 - wide, top + 60), (522 - wide, 690)], WHITE, 10)
