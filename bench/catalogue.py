"""A catalogue of any size, the same every time: good number n is a pure function of n."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

BRANCHES = ("audio", "kitchen", "garden", "sports", "books", "clothes", "toys", "office")
NOUNS = (
    ("耳机", "headphones"), ("音箱", "speaker"), ("水壶", "kettle"), ("雨伞", "umbrella"), ("背包", "backpack"),
    ("台灯", "lamp"), ("键盘", "keyboard"), ("茶杯", "cup"), ("球鞋", "sneakers"), ("毛巾", "towel"),
)  # fmt: skip
STYLES = (
    ("轻便", "light"), ("经典", "classic"), ("专业", "professional"), ("迷你", "mini"), ("无线", "wireless"),
    ("防水", "waterproof"), ("智能", "smart"), ("复古", "retro"), ("环保", "recycled"), ("折叠", "folding"),
    ("静音", "silent"), ("加厚", "padded"),
)  # fmt: skip
COLOURS = ("black", "white", "red", "blue", "green", "yellow", "grey")
START = datetime(2024, 1, 1, tzinfo=UTC)
LEAVES = tuple(f"{branch}-{noun}" for branch in BRANCHES for _, noun in NOUNS)


@dataclass(frozen=True)
class Sample:
    """One good, as the contract writes it."""

    id: int
    sku: str
    name: str
    description: str
    category: str
    cents: int
    stock: int
    sales: int
    attributes: dict[str, str]
    created_at: datetime

    @property
    def price(self) -> str:
        return f"{self.cents // 100}.{self.cents % 100:02}"

    def public(self) -> dict[str, object]:
        """What every way must answer for it, times and pictures aside."""
        names = ("id", "sku", "name", "description", "category", "price", "stock", "sales", "attributes")
        return {name: getattr(self, name) for name in names}


def sample(number: int) -> Sample:
    """Good number n, counted from 1; a higher number is a newer good."""
    spread = number * 2_654_435_761 % 2**32  # Knuth's multiplicative hash: looks random, is not
    noun_zh, noun = NOUNS[number % len(NOUNS)]
    style_zh, style = STYLES[spread % len(STYLES)]
    return Sample(
        id=number,
        sku=f"BENCH-{number:07}",
        name=f"{style_zh}{noun_zh} {style} {noun} {number}",
        description=f"A {style} {noun} for every day. 每天都好用的{noun_zh}。",
        category=f"{BRANCHES[spread // 64 % len(BRANCHES)]}-{noun}",
        cents=100 + spread // 16 % 500_000,
        stock=0 if spread % 10 == 0 else spread // 1024 % 200,
        sales=spread // 4096 % 100_000,
        attributes={"colour": COLOURS[spread % len(COLOURS)]},
        created_at=START + timedelta(seconds=number),
    )
