"""The bodies of orders."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from api.shopdemo.schemas import Amount
from utils.fields import MAX_ID

MAX_LINES = 100
MAX_QUANTITY = 999

Quantity = Annotated[int, Field(strict=True, ge=1, le=MAX_QUANTITY)]
Status = Literal["pending", "paid", "shipped", "done", "cancelled"]


class OrderItem(BaseModel):
    """So many of one kind of goods."""

    model_config = ConfigDict(extra="forbid")

    goods_id: int = Field(strict=True, ge=1, le=MAX_ID)
    quantity: Quantity


def each_goods_once(items: list[OrderItem]) -> list[OrderItem]:
    """Two lines of the same goods are more likely a mistake than a wish."""
    if len({item.goods_id for item in items}) < len(items):
        raise ValueError("each goods_id may stand there once; say how many in quantity")
    return items


class OrderCreate(BaseModel):
    """What somebody orders."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"items": [{"goods_id": 1, "quantity": 2}]}]}
    )

    items: list[OrderItem] = Field(min_length=1, max_length=MAX_LINES)

    _once = field_validator("items")(each_goods_once)


class OrderLine(BaseModel):
    """What was ordered, with name and price as they were then."""

    goods_id: int
    sku: str
    name: str
    price: Amount
    quantity: int
    subtotal: Amount


class Order(BaseModel):
    """An order as its buyer and the administrators see it."""

    id: int
    owner: str
    status: Status
    items: list[OrderLine]
    total: Amount
    created_at: datetime
    updated_at: datetime
    expires_at: datetime = Field(description="A pending order is cancelled then, and its stock returned.")


class OrderQuery(BaseModel):
    """Which orders a list shows."""

    status: Status | None = None
    everyone: bool = Field(False, description="The orders of all users; needs the role “admin”.")
    size: int = Field(20, ge=1, le=100)
    page: int = Field(1, ge=1, le=10_000)


class OrderPage(BaseModel):
    """One page of orders, the newest first. `total` stops counting at 10,000."""

    items: list[Order]
    total: int
    page: int
    size: int
