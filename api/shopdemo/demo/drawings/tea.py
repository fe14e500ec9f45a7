"""Drawings of the tea and coffee department."""

from api.shopdemo.demo.sketch import (
    CREAM,
    INK,
    LEAF,
    WHITE,
    WOOD,
    Colour,
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
    whole,
)


def caddy(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A tea tin with two leaves on its label."""
    top, wide = chance.uniform(330, 420), chance.uniform(150, 185)
    sketch.fill(tub(500, top, 780, wide, wide), lighter(tint, 0.25), darker(tint, 0.25))
    lid = tub(500, top - 70, top + 12, wide + 10, wide + 10)
    sketch.fill(lid, lighter(tint, 0.1), darker(tint, 0.4))
    sketch.fill(ellipse(500, top - 70, wide + 10, (wide + 10) * 0.14), lighter(tint, 0.35))
    sketch.fill(ellipse(500, top - 72, wide - 12, (wide - 12) * 0.13), lighter(tint, 0.2))
    middle = (top + 815) / 2
    sketch.fill(ellipse(500, middle, wide * 0.68), CREAM, darker(CREAM, 0.08))
    sketch.stroke(ellipse(500, middle, wide * 0.6), darker(CREAM, 0.22), 4)
    for degrees, length in ((-32, 112), (28, 128)):
        sketch.fill(leaf(500, middle + 62, length, 66, degrees), LEAF, darker(LEAF, 0.25))
        sketch.stroke(turned([(500, middle + 55), (500, middle + 85 - length)], degrees, 500, middle + 62), CREAM, 4)


def cup(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A steaming cup of tea on its saucer; the tint is the colour of the tea."""
    china = chance.choice([WHITE, (236, 243, 240), (250, 236, 218), (226, 236, 246)])
    wide, top = chance.uniform(195, 235), chance.uniform(430, 470)
    sketch.fill(ellipse(500, 765, 310, 48), darker(china, 0.18))
    sketch.fill(ellipse(500, 755, 310, 46), china, darker(china, 0.12))
    sketch.fill(ellipse(500, 757, 190, 25), darker(china, 0.14))
    handle = path([(640, 520), (760, 500), (785, 580), (720, 650), (620, 665)])
    sketch.stroke(handle, darker(china, 0.2), 30)
    left = path([(500 - wide, top), (512 - wide, 580), (590 - wide, 700), (430, 750)])
    body = whole(left)
    sketch.fill(body, china, darker(china, 0.17))
    sketch.fill(ellipse(500, top, wide, 42), lighter(china, 0.5))
    sketch.fill(ellipse(500, top + 6, wide - 14, 34), lighter(tint, 0.15), darker(tint, 0.25))
    sketch.inside(body, [box(0, 610, 1000, 622), box(0, 632, 1000, 637)], lighter(tint, 0.2))
    for x in (430, 500, 570):
        rise = chance.uniform(0, 40)
        steam = [(x, 385 - rise), (x + 22, 340 - rise), (x - 18, 285 - rise), (x + 8, 230 - rise)]
        sketch.stroke(path(steam), WHITE, 11)


def pouch(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A coffee pouch with a bean on its label."""
    wide = chance.uniform(185, 215)
    side = path([(500 - wide, 250), (492 - wide, 450), (478 - wide, 640), (494 - wide, 785)])
    bag = whole(side)
    sketch.fill(bag, lighter(tint, 0.22), darker(tint, 0.28))
    sketch.inside(bag, [[(0, 785), (500, 745), (1000, 785), (1000, 900), (0, 900)]], darker(tint, 0.35))
    sketch.fill(box(496 - wide, 215, 504 + wide, 262, 10), darker(tint, 0.1), darker(tint, 0.45))
    for y in (230, 245):
        sketch.stroke([(512 - wide, y), (488 + wide, y)], lighter(tint, 0.15), 3)
    sketch.fill(ellipse(500, 318, 15), darker(tint, 0.4))
    sketch.fill(ellipse(500, 316, 7), lighter(tint, 0.1))
    sketch.fill(box(400, 385, 600, 690, 18), CREAM, darker(CREAM, 0.1))
    bean = (112, 70, 44)
    degrees = chance.choice([-28, 24, 35])
    sketch.fill(turned(ellipse(500, 515, 58, 84), degrees, 500, 515), lighter(bean, 0.2), darker(bean, 0.35))
    crease = path([(500, 435), (516, 480), (486, 545), (500, 595)])
    sketch.stroke(turned(crease, degrees, 500, 515), darker(bean, 0.6), 9)
    for row, half in enumerate((62, 40)):
        sketch.stroke([(500 - half, 635 + row * 24), (500 + half, 635 + row * 24)], darker(tint, 0.15), 7)


def teapot(sketch: Sketch, tint: Colour, chance: Variation) -> None:
    """A round teapot with a knobbed lid."""
    wide, tall = chance.uniform(200, 240), chance.uniform(150, 190)
    middle = 780 - tall
    dark = darker(tint, 0.25)
    left = 500 - wide
    sketch.stroke(ellipse(485 + wide, middle - 8, 104, 92, -110, 110), dark, 34)
    front = [(left + 40, middle + 90), (left - 45, middle + 20), (left - 100, middle - 110), (left - 75, middle - 135)]
    back = [(left - 30, middle - 120), (left + 10, middle - 40), (left + 100, middle - 50)]
    sketch.fill(curve([*front, *back]), lighter(tint, 0.15), dark)
    body = ellipse(500, middle, wide, tall)
    sketch.fill(ellipse(500, 775, wide * 0.55, 20), darker(tint, 0.4))
    sketch.fill(body, lighter(tint, 0.22), darker(tint, 0.3))
    sketch.fill(ellipse(500, middle - tall * 0.9, wide * 0.52, 30), darker(tint, 0.35))
    sketch.fill(ellipse(500, middle - tall * 0.93, wide * 0.5, 52, 180, 360), lighter(tint, 0.25), darker(tint, 0.2))
    knob = chance.choice([WOOD, INK, tint])
    sketch.fill(ellipse(500, middle - tall * 0.93 - 66, 26), lighter(knob, 0.2), darker(knob, 0.2))
    if chance.happens(0.6):
        sketch.inside(body, [box(0, middle + 24, 1000, middle + 36), box(0, middle + 50, 1000, middle + 56)], CREAM)
    gleam = ellipse(500, middle, wide * 0.78, tall * 0.74, 195, 250)
    sketch.stroke(gleam, lighter(tint, 0.6), 14)
