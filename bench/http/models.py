"""The goods as peers answer them, and the fixed answers of the envelope part."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import BaseModel


class Goods(BaseModel):
    """One good, with the fields of the contract."""

    id: int
    sku: str
    name: str
    description: str
    category: str
    price: Decimal
    stock: int
    sales: int
    pictures: list[dict[str, Any]]
    attributes: dict[str, str]
    on_sale: bool
    created_at: datetime
    updated_at: datetime


class GoodsPage(BaseModel):
    """One page of a list."""

    items: list[Goods]
    total: int | None
    page: int | None
    size: int
    next_cursor: str | None


class GoodsNew(BaseModel):
    """What is said of a new good."""

    sku: str
    name: str
    description: str
    category: str
    price: Decimal
    stock: int


class Banner(BaseModel):
    """A large link on the front page."""

    title: str
    picture_url: str | None
    link: str


class Category(BaseModel):
    """A category and what is in it."""

    slug: str
    name: str
    goods_count: int
    children: list["Category"]


class Home(BaseModel):
    """The front page."""

    banners: list[Banner]
    categories: list[Category]
    newest: list[Goods]
    best_selling: list[Goods]
    recommended: list[Goods]


BANNERS = [Banner(title="新品上架 New in", picture_url=None, link="/shopdemo/goods?sort=-created_at")]


def fixed_goods(number: int) -> Goods:
    """A good of about 350 bytes of JSON."""
    made = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    return Goods(
        id=number,
        sku=f"SKU-{number:06}",
        name=f"蓝牙耳机 Headphones {number}",
        description="Light, foldable, thirty hours.",
        category="headphones",
        price=Decimal(number + 9).quantize(Decimal("0.01")),
        stock=number % 50,
        sales=number * 3,
        pictures=[],
        attributes={"colour": "black"},
        on_sale=True,
        created_at=made,
        updated_at=made,
    )


ONE = fixed_goods(7)
PAGE = GoodsPage(items=[fixed_goods(n) for n in range(1, 21)], total=100_000, page=1, size=20, next_cursor="MTAw")
