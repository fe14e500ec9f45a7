"""Drawings of the clothing department."""

from api.shopdemo.demo.sketch import (
    CREAM,
    Colour,
    Outline,
    Sketch,
    Variation,
    box,
    curve,
    darker,
    ellipse,
    lighter,
    mirrored,
    path,
    whole,
)


def t_shirt(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A short-sleeved shirt, plain, striped or with a print."""
    length = chance.uniform(760, 805)
    shoulder = path([(420, 225), (330, 262), (225, 330), (150, 450)])
    cuff = [(255, 515), (318, 420)]
    hem = path([(318, 420), (326, 600), (316, length), (400, length + 10), (500, length + 12)])
    shirt = whole([(500, 285), *shoulder, *cuff, *hem])
    sketch.fill(shirt, lighter(tint, 0.15), darker(tint, 0.15))
    accent = chance.choice([CREAM, lighter(tint, 0.5), darker(tint, 0.4)])
    print_ = chance.kind("plain", "stripes", "print", "pocket")
    if print_ == "stripes":
        sketch.inside(shirt, [box(316, y, 684, y + 22) for y in range(400, 780, 62)], accent)
    elif print_ == "print":
        sketch.fill(ellipse(500, 470, 78), accent)
        sketch.fill(curve([(412, 520), (460, 482), (505, 512), (548, 470), (592, 520), (500, 556)]), darker(tint, 0.25))
    elif print_ == "pocket":
        sketch.fill(box(545, 400, 635, 500, 12), darker(tint, 0.18))
        sketch.fill(box(545, 400, 635, 420, 6), darker(tint, 0.28))
    neck = ellipse(500, 222, 84, 76, 0, 180)
    sketch.fill(neck, darker(tint, 0.45))
    sketch.stroke(neck, darker(tint, 0.22), 17)
    sketch.stroke([(333, 300), (330, 370), (318, 425)], darker(tint, 0.2), 5)
    sketch.stroke([(667, 300), (670, 370), (682, 425)], darker(tint, 0.3), 5)
    sketch.stroke(whole([(318, length - 22), (500, length - 12)]), darker(tint, 0.2), 4)


def sweater(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A knitted pullover with ribbed cuffs and a yoke pattern."""
    for side in (False, True):
        sleeve = curve([(345, 255), (255, 330), (195, 520), (172, 720), (262, 735), (300, 580), (350, 450)])
        cuff = [(166, 705), (268, 722), (262, 782), (162, 765)]
        sketch.fill(mirrored(sleeve) if side else sleeve, darker(tint, 0.22 if side else 0.08))
        sketch.fill(mirrored(cuff) if side else cuff, darker(tint, 0.36))
    half = path([(415, 225), (345, 255), (322, 420), (330, 600), (322, 740)])
    body = whole([*half, (500, 745)])
    sketch.fill(body, lighter(tint, 0.18), darker(tint, 0.12))
    _knit(sketch, body, tint, chance)
    hem = box(318, 728, 682, 795, 16)
    sketch.fill(hem, darker(tint, 0.26), darker(tint, 0.4))
    sketch.inside(hem, [box(x, 700, x + 5, 820) for x in range(330, 680, 17)], darker(tint, 0.5))
    sketch.fill(ellipse(500, 225, 88, 62, 0, 180), darker(tint, 0.5))
    sketch.stroke(ellipse(500, 225, 88, 62, 0, 180), darker(tint, 0.3), 26)


def _knit(sketch: Sketch, body: Outline, tint: Colour, chance: Variation) -> None:
    """The pattern on the front of a sweater."""
    accent = chance.choice([CREAM, lighter(tint, 0.55), darker(tint, 0.45)])
    pattern = chance.kind("zigzag", "diamonds", "bands", "cables")
    parts: dict[str, list[Outline]] = {
        "zigzag": [_zigzag(400), _zigzag(460)],
        "diamonds": [ellipse(x, 430, 24, 42)[::18] for x in range(325, 700, 58)],
        "bands": [box(0, y, 1000, y + 42) for y in (370, 470, 570)],
    }
    if pattern in parts:
        sketch.inside(body, parts[pattern], accent)
        return
    for x in (390, 500, 610):
        for y in range(350, 720, 46):
            sketch.stroke(path([(x - 16, y), (x + 16, y + 24), (x - 16, y + 46)]), darker(tint, 0.2), 9)


def _zigzag(y: float) -> Outline:
    steps = [(x, y - 35 * (step % 2)) for step, x in enumerate(range(290, 740, 35))]
    return [*steps, *((x, height + 20) for x, height in reversed(steps))]


def socks(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A pair of socks."""
    accent = chance.choice([CREAM, lighter(tint, 0.55), darker(tint, 0.45)])
    pattern = chance.kind("stripes", "dots", "plain")
    top = chance.uniform(220, 330)
    for shift, rise, shade in ((110, -34, 0.2), (-50, 0, 0.0)):
        sole = [(556, 590), (590, 650), (560, 720), (430, 775), (320, 795)]
        foot = [*sole, (262, 762), (285, 695), (370, 650), (402, 590)]
        outline = [(556, top), *path(foot), (402, top)]
        sock = [(x + shift, y + rise) for x, y in outline]
        sketch.fill(sock, lighter(darker(tint, shade), 0.16), darker(tint, shade + 0.16))
        if pattern == "stripes":
            sketch.inside(sock, [box(0, y + rise, 1000, y + rise + 26) for y in range(430, 600, 56)], accent)
        elif pattern == "dots":
            dots = [ellipse(425 + shift + x * 54, y + rise, 13) for x in range(3) for y in range(430, 620, 56)]
            sketch.inside(sock, dots, accent)
        toe, heel = ellipse(275 + shift, 765 + rise, 92), ellipse(580 + shift, 690 + rise, 82)
        sketch.inside(sock, [toe, heel], darker(accent, shade * 0.8))
        ribs = box(394 + shift, top + rise, 564 + shift, top + rise + 76, 14)
        sketch.fill(ribs, darker(accent, shade * 0.8), darker(accent, shade + 0.14))
        sketch.inside(ribs, [box(x + shift, 0, x + 5 + shift, 900) for x in range(410, 560, 19)], darker(accent, 0.24))


def cap(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A peaked cap seen from the side."""
    high = chance.uniform(240, 290)
    crown = [*ellipse(455, 620, 235, high * 1.25, 180, 360), *ellipse(455, 620, 235, 36, 0, 180)]
    sketch.fill(crown, lighter(tint, 0.22), darker(tint, 0.22))
    peak = 620 - high * 1.25
    if chance.happens(0.5):
        front = path([(470, peak), (610, 420), (660, 620)])
        sketch.inside(crown, [[*front, (900, 650), (900, peak)]], chance.choice([CREAM, darker(tint, 0.35)]))
    for line in ([(455, peak), (330, 430), (300, 632)], [(470, peak), (610, 420), (655, 628)]):
        sketch.stroke(path(line), darker(tint, 0.32), 5)
    sketch.fill(ellipse(458, peak + 2, 30, 14), darker(tint, 0.35))
    visor = curve([(430, 640), (560, 612), (690, 590), (800, 630), (868, 700), (845, 724), (720, 690), (560, 672)])
    sketch.fill([(x, y + 14) for x, y in visor], darker(tint, 0.5))
    sketch.fill(visor, darker(tint, 0.08), darker(tint, 0.32))
    sketch.stroke(path([(480, 648), (640, 622), (770, 650), (836, 706)]), lighter(tint, 0.3), 4)
    badge = chance.choice([(238, 186, 84), (226, 108, 86), CREAM])
    sketch.fill(ellipse(545, 500, 44), badge, darker(badge, 0.15))
    sketch.fill(curve([(512, 516), (532, 484), (547, 500), (560, 480), (580, 516)]), darker(tint, 0.3))
    for x in (280, 372):
        sketch.fill(ellipse(x, 480, 8), darker(tint, 0.45))
