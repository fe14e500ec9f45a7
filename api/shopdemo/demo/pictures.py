"""Pictures of the demo goods: drawn by code, the same bytes for the same goods."""

from collections.abc import Callable

from api.shopdemo.demo.catalogue import DemoGoods
from api.shopdemo.demo.drawings import clothing, digital, garden, home, kitchen, outdoors, stationery, tea
from api.shopdemo.demo.sketch import Colour, Sketch, Variation, ellipse, lighter

Drawing = Callable[[Sketch, Colour, Variation], None]

_TEA: Colour = (206, 224, 198)
_KITCHEN: Colour = (246, 220, 190)
_HOME: Colour = (226, 216, 238)
_CLOTHING: Colour = (248, 214, 214)
_DIGITAL: Colour = (202, 222, 242)
_STATIONERY: Colour = (248, 230, 176)
_OUTDOORS: Colour = (190, 226, 226)
_GARDEN: Colour = (214, 232, 190)

_BRIGHT = ("red", "orange", "yellow", "green", "teal", "blue", "purple", "pink")
_CALM = ("white", "grey", "black", "navy", "beige", "green", "blue")

# Leaf category → background, drawing, and the colours to choose from when the goods name none.
_KINDS: dict[str, tuple[Colour, Drawing, tuple[str, ...]]] = {
    "green-tea": (_TEA, tea.caddy, ("green", "teal", "navy", "red", "gold")),
    "dark-tea": (_TEA, tea.cup, ("amber", "brown", "mahogany")),
    "coffee": (_TEA, tea.pouch, ("brown", "black", "teal", "red", "navy", "orange")),
    "teapots": (_TEA, tea.teapot, ("mahogany", "celadon", "white", "black", "blue")),
    "mugs": (_KITCHEN, kitchen.mug, _BRIGHT),
    "bowls": (_KITCHEN, kitchen.bowl, _BRIGHT),
    "cookware": (_KITCHEN, kitchen.pot, ("black", "red", "silver", "teal", "orange")),
    "knives": (_KITCHEN, kitchen.knife, ("black", "brown", "mahogany", "navy", "red")),
    "lamps": (_HOME, home.lamp, ("beige", "white", "orange", "pink", "teal", "yellow")),
    "cushions": (_HOME, home.cushion, _BRIGHT),
    "clocks": (_HOME, home.clock, ("wood", "black", "white", "teal", "red", "gold")),
    "candles": (_HOME, home.candle, ("pink", "purple", "green", "orange", "beige")),
    "t-shirts": (_CLOTHING, clothing.t_shirt, _CALM),
    "sweaters": (_CLOTHING, clothing.sweater, _BRIGHT),
    "socks": (_CLOTHING, clothing.socks, _BRIGHT),
    "caps": (_CLOTHING, clothing.cap, _CALM),
    "headphones": (_DIGITAL, digital.headphones, ("black", "white", "red", "navy", "pink")),
    "keyboards": (_DIGITAL, digital.keyboard, ("black", "white", "grey", "navy", "pink")),
    "speakers": (_DIGITAL, digital.speaker, ("wood", "black", "teal", "orange", "white")),
    "power-banks": (_DIGITAL, digital.power_bank, ("white", "black", "blue", "pink", "green")),
    "books": (_STATIONERY, stationery.book, ("red", "teal", "navy", "green", "purple", "orange")),
    "notebooks": (_STATIONERY, stationery.notebook, _BRIGHT),
    "pens": (_STATIONERY, stationery.pens, _BRIGHT),
    "art-supplies": (_STATIONERY, stationery.palette, _BRIGHT),
    "backpacks": (_OUTDOORS, outdoors.backpack, ("navy", "orange", "green", "grey", "red", "black")),
    "tents": (_OUTDOORS, outdoors.tent, ("orange", "green", "red", "yellow", "blue")),
    "bottles": (_OUTDOORS, outdoors.bottle, _BRIGHT),
    "balls": (_OUTDOORS, outdoors.ball, ("orange", "white", "yellow", "red", "blue")),
    "houseplants": (_GARDEN, garden.houseplant, ("green", "leaf")),
    "cacti": (_GARDEN, garden.cactus, ("green", "leaf", "celadon")),
    "watering-cans": (_GARDEN, garden.watering_can, ("silver", "teal", "red", "yellow", "blue")),
    "seeds": (_GARDEN, garden.seeds, ("red", "orange", "yellow", "purple", "pink")),
}

_COLOURS: dict[str, Colour] = {
    "amber": (208, 124, 44), "beige": (226, 206, 172), "black": (62, 60, 70), "blue": (84, 140, 206),
    "brown": (132, 88, 60), "celadon": (156, 196, 176), "gold": (214, 172, 88), "green": (82, 150, 98),
    "grey": (146, 152, 162), "leaf": (112, 172, 92), "mahogany": (146, 64, 48), "natural": (232, 218, 190),
    "navy": (52, 70, 116), "olive": (128, 132, 76), "orange": (240, 142, 72), "pink": (240, 150, 166),
    "purple": (144, 112, 188), "red": (214, 78, 72), "silver": (190, 198, 208), "teal": (64, 152, 152),
    "white": (246, 244, 240), "wood": (190, 138, 92), "yellow": (246, 202, 84),
}  # fmt: skip


def draw_picture(goods: DemoGoods, size: int = 800) -> bytes:
    """A square WebP of `size` pixels; the kind of goods decides what is drawn, the SKU and colour how."""
    background, drawing, palette = _KINDS[goods.category]
    chance = Variation(goods.sku, _words(*goods.attributes.values()))
    named = [_COLOURS[word] for word in _words(goods.attributes.get("colour", "")) if word in _COLOURS]
    tint = named[0] if named else _COLOURS[chance.choice(palette)]
    sketch = Sketch(size, background)
    sketch.fill(ellipse(500, 500, 420), lighter(background, 0.42), lighter(background, 0.3), down=True)
    sketch.shadow(500, 792, 270, background)
    drawing(sketch, tint, chance)
    return sketch.encoded()


def _words(*texts: str) -> list[str]:
    return [word for text in texts for word in text.lower().split()]
