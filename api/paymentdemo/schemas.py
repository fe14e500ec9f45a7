"""The bodies that the gateway's endpoints exchange, and those of its webhooks."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from utils.fields import STORABLE

AMOUNT_PATTERN = r"^[0-9]{1,16}\.[0-9]{2}$"  # so many whole cents fit into 64 bits
URL_PATTERN = r"^https?://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?(/[!-~]*)?$"
KEY_PATTERN = r"^[!-~]+$"
_AMOUNT = re.compile(AMOUNT_PATTERN).fullmatch


def _read_amount(value: Any) -> Any:
    """A Decimal of our own, or a string with two digits: a JSON number may have been a float."""
    if isinstance(value, Decimal):
        return value
    if not isinstance(value, str) or not _AMOUNT(value):
        raise ValueError('must be a string such as "199.00"')
    return Decimal(value)


Method = Literal["test-card", "test-card-declined", "test-card-slow"]
Status = Literal["pending", "succeeded", "declined", "refunded"]
EventType = Literal["charge.succeeded", "charge.declined", "charge.refunded"]

Reference = Annotated[str, StringConstraints(min_length=1, max_length=255), STORABLE]
Amount = Annotated[
    Decimal,
    BeforeValidator(_read_amount),
    WithJsonSchema({"type": "string", "pattern": AMOUNT_PATTERN, "examples": ["199.00"]}),
]
CallbackUrl = Annotated[str, StringConstraints(max_length=2000, pattern=URL_PATTERN)]


class ChargeCreate(BaseModel):
    """What is to be charged, and where to tell what became of it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"reference": "order-7-1", "amount": "199.00", "method": "test-card"}]},
    )

    reference: Reference = Field(description="Whatever you know it by; it comes back in every answer.")
    amount: Amount
    method: Method = Field(
        description="test-card succeeds, test-card-declined is declined, test-card-slow succeeds a few seconds later."
    )
    callback_url: CallbackUrl | None = Field(None, description="Where webhooks about it go: http or https.")


class Charge(BaseModel):
    """A charge as it is now."""

    id: str = Field(examples=["ch_2f9c…"])
    reference: str
    amount: Amount
    status: Status
    reason: str | None = Field(description="Why it was declined, in a sentence for people.")
    created_at: datetime
    callback_url: str | None = Field(exclude=True)


class Event(BaseModel):
    """The body of a webhook: what happened to a charge, and the charge as it was then."""

    type: EventType
    timestamp: datetime
    data: Charge
