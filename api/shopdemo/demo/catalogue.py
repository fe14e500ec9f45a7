"""The demo catalogue: what a new shop is filled with, read from the CSV files beside this module."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class DemoCategory:
    """A category; one without a parent is a department, one with a parent holds goods."""

    slug: str
    name: str
    parent: str | None


@dataclass(frozen=True)
class DemoGoods:
    """Goods as the demo catalogue knows them; `category` is the slug of a category with a parent."""

    sku: str
    name: str
    description: str
    category: str
    price: Decimal
    stock: int
    sales: int
    attributes: dict[str, str]
    on_sale: bool


def demo_categories() -> list[DemoCategory]:
    """Every category, parents before their children."""
    return [DemoCategory(row["slug"], row["name"], row["parent"] or None) for row in _rows("categories.csv")]


def demo_goods() -> list[DemoGoods]:
    """All goods, mixed across categories, so that the newest of a filled shop are of every kind."""
    goods = [_goods(row) for row in _rows("goods.csv")]
    return sorted(goods, key=lambda one: sha256(one.sku.encode()).digest())


def _goods(row: dict[str, str]) -> DemoGoods:
    return DemoGoods(
        sku=row["sku"],
        name=row["name"],
        description=row["description"],
        category=row["category"],
        price=Decimal(row["price"]),
        stock=int(row["stock"]),
        sales=int(row["sales"]),
        attributes=dict(pair.split("=", 1) for pair in row["attributes"].split("; ")),
        on_sale=row["on_sale"] == "yes",
    )


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (_HERE / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
