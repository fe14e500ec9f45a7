"""The bodies of carts."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from api.shopdemo.orders.schemas import MAX_LINES, OrderItem, Quantity, each_goods_once
from api.shopdemo.schemas import FROM_THE_ROOT, Amount


class CartContent(BaseModel):
    """Everything that is to be in a cart."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"items": [{"goods_id": 1, "quantity": 2}]}]}
    )

    items: list[OrderItem] = Field(max_length=MAX_LINES)

    _once = field_validator("items")(each_goods_once)


class CartQuantity(BaseModel):
    """How many of some goods are to be in the cart."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"quantity": 2}]})

    quantity: Quantity


class CartLine(BaseModel):
    """So many of one kind of goods; name, price and stock are those of now."""

    goods_id: int
    sku: str
    name: str
    thumbnail_url: str | None = Field(description=FROM_THE_ROOT)
    price: Amount
    quantity: int
    subtotal: Amount
    stock: int
    available: bool = Field(description="Whether so many could be ordered now.")


class Cart(BaseModel):
    """What is in a cart, in the order in which it was put there."""

    items: list[CartLine]
    total: Amount
