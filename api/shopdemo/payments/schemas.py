"""The bodies of payments, and what the gateway says."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from utils.fields import STORABLE

PaymentStatus = Literal["started", "succeeded", "declined", "refund_due", "refunded"]
ChargeStatus = Literal["pending", "succeeded", "declined", "refunded"]


class Pay(BaseModel):
    """How an order is paid."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"method": "test-card"}]})

    method: Annotated[str, StringConstraints(min_length=1, max_length=64), STORABLE] = Field(
        "test-card", description="What the gateway knows: of ours test-card, test-card-declined and test-card-slow."
    )


class Payment(BaseModel):
    """An attempt to pay an order."""

    order_id: int
    attempt: int
    status: PaymentStatus
    charge_id: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def key(self) -> str:
        """What the gateway knows it by. The time tells it from that of another database, which counts from 1 too."""
        return f"order-{self.order_id}-{self.attempt}-{self.created_at:%Y%m%dT%H%M%S.%fZ}"


class GatewayCharge(BaseModel):
    """What the gateway says of a payment."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=64), STORABLE]
    reference: Annotated[str, StringConstraints(max_length=255), STORABLE]
    amount: Decimal
    status: ChargeStatus


class ChargeEvent(BaseModel):
    """What the gateway tells by itself, after the Standard Webhooks specification."""

    type: str = Field(examples=["charge.succeeded"])
    timestamp: datetime
    data: GatewayCharge
