"""The bodies that the shop's endpoints exchange."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema, model_validator

from utils.fields import MAX_ID, STORABLE, Money
from utils.full_text import MAX_TERMS

MAX_STOCK = 1_000_000_000
MAX_ATTRIBUTES = 50
FROM_THE_ROOT = "A path from the root of the service: behind a proxy that adds a prefix, put the prefix before it."

Sku = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^\S+$"), STORABLE]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), STORABLE]
Description = Annotated[str, StringConstraints(max_length=10_000), STORABLE]
Slug = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z0-9-]+$")]
Stock = Annotated[int, Field(strict=True, ge=0, le=MAX_STOCK)]
Attributes = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=50), STORABLE],
        Annotated[str, StringConstraints(max_length=200), STORABLE],
    ],
    Field(max_length=MAX_ATTRIBUTES, examples=[{"colour": "白色 White"}]),
]
# Written as it is: whoever makes it gives it two digits (`utils.fields.parse_money`, the column type). A sum may have
# more digits before the point than a price that is sent.
Amount = Annotated[
    Decimal, WithJsonSchema({"type": "string", "pattern": r"^[0-9]+\.[0-9]{2}$", "examples": ["199.00"]})
]


class Picture(BaseModel):
    """A picture of goods; sizes are pixels of the large one."""

    url: str = Field(description=FROM_THE_ROOT, examples=["/shopdemo/goods/1/pictures/0f3c….webp"])
    thumbnail_url: str = Field(description=FROM_THE_ROOT)
    width: int
    height: int


class GoodsCreate(BaseModel):
    """What an administrator says of goods, to create or replace them."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "sku": "TEA-LJ-250",
                    "name": "西湖龙井绿茶 250g Longjing Green Tea",
                    "description": "明前采摘，清香甘醇。 Picked before Qingming, fresh and mellow.",
                    "category": "green-tea",
                    "price": "199.00",
                    "stock": 120,
                    "attributes": {"weight": "250 g"},
                    "on_sale": True,
                }
            ]
        },
    )

    sku: Sku
    name: Name
    description: Description
    category: Slug = Field(description="The slug of a category.")
    price: Money
    stock: Stock
    attributes: Attributes = {}
    on_sale: bool = Field(True, strict=True, description="Whether lists show it.")


def _left_out() -> Any:
    """The default of a field that may be left out but not be null."""
    return None


class GoodsUpdate(BaseModel):
    """A change of some of the fields; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"price": "179.00", "stock": 80}]})

    sku: Sku = Field(default_factory=_left_out)
    name: Name = Field(default_factory=_left_out)
    description: Description = Field(default_factory=_left_out)
    category: Slug = Field(default_factory=_left_out)
    price: Money = Field(default_factory=_left_out)
    stock: Stock = Field(default_factory=_left_out)
    attributes: Attributes = Field(default_factory=_left_out)
    on_sale: bool = Field(default_factory=_left_out, strict=True)


class Goods(BaseModel):
    """Goods as everybody sees them."""

    id: int
    sku: str
    name: str
    description: str
    category: str = Field(description="The slug of the category.")
    price: Amount
    stock: int
    sales: int
    pictures: list[Picture]
    attributes: dict[str, str]
    on_sale: bool
    created_at: datetime
    updated_at: datetime
    version: int = Field(exclude=True)

    @property
    def etag(self) -> str:
        """The entity tag of this state: every change and every sale makes another one."""
        return f'"{self.id}-{self.version}.{self.stock}.{self.sales}"'


class Category(BaseModel):
    """A category with the number of goods on sale in it and below it."""

    slug: str
    name: str
    goods_count: int
    children: list["Category"]


class Banner(BaseModel):
    """A large link at the top of the front page."""

    title: str
    picture_url: str | None = Field(description=FROM_THE_ROOT)
    link: str = Field(description=FROM_THE_ROOT)


class Home(BaseModel):
    """What a shop's front page shows, in one answer."""

    banners: list[Banner]
    categories: list[Category]
    newest: list[Goods]
    best_selling: list[Goods]
    recommended: list[Goods]


Sort = Literal["-created_at", "created_at", "price", "-price", "sales", "-sales"]


class GoodsFilter(BaseModel):
    """Which goods a list shows; hashable, so that a count can be remembered by it."""

    model_config = ConfigDict(frozen=True)

    q: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100), STORABLE] | None = Field(
        None,
        description=f"Words to find, all of them; at most {MAX_TERMS} count. Chinese works from one character on.",
        examples=["龙井"],
    )
    category: Slug | None = Field(None, description="The slug of a category; a top one includes those below it.")
    price_min: Money | None = None
    price_max: Money | None = None
    in_stock: bool | None = Field(None, description="True: only what is in stock; false: only what is not.")
    on_sale: bool = Field(True, description="False: only what was taken off sale.")

    @model_validator(mode="after")
    def prices_in_order(self) -> Self:
        """Tell the client instead of finding nothing."""
        if self.price_min is not None and self.price_max is not None and self.price_min > self.price_max:
            raise ValueError("price_min must not be above price_max")
        return self


class GoodsQuery(GoodsFilter):
    """A list of goods: what is in it, in which order, and which part of it."""

    sort: Sort = Field("-created_at", description="Newest first by default.")
    size: int = Field(20, ge=1, le=100)
    page: int | None = Field(None, ge=1, le=MAX_ID, description="A numbered page, with `total`; 1 by default.")
    cursor: Annotated[str, StringConstraints(max_length=200), STORABLE] | None = Field(
        None, description="`next_cursor` of the page before; empty for the first page of an endless list."
    )

    @model_validator(mode="after")
    def page_or_cursor(self) -> Self:
        """A numbered page and an endless list are two things."""
        if self.page is not None and self.cursor is not None:
            raise ValueError("send either page or cursor")
        return self

    def filter(self) -> GoodsFilter:
        """Only what is in the list."""
        return GoodsFilter.model_construct(**{name: getattr(self, name) for name in GoodsFilter.model_fields})


class GoodsPage(BaseModel):
    """One page of goods. `total` stops counting at its limit; it and `page` are null in an endless list."""

    items: list[Goods]
    total: int | None
    page: int | None
    size: int
    next_cursor: str | None = Field(description="Send it as `cursor` to go on; null on the last page.")


class ImportResult(BaseModel):
    """What an import did."""

    created: int
    updated: int
