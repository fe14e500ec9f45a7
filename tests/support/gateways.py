"""A payment gateway without a network: it can be away, lose its answers, be slow, and be watched."""

from datetime import timedelta
from decimal import Decimal

from sqlalchemy import update

from api.shopdemo.database import PaymentRow
from api.shopdemo.payments.errors import GatewayAway
from api.shopdemo.payments.schemas import ChargeStatus, GatewayCharge
from api.shopdemo.payments.service import UNSETTLED_SECONDS
from extensions.database import Database
from utils.fields import utc_now


async def let_answers_be_late(database: Database) -> None:
    """Let all payments be older than an answer may be."""
    past = utc_now() - timedelta(seconds=UNSETTLED_SECONDS + 1)
    async with database.transaction() as connection:
        await connection.execute(update(PaymentRow).values(updated_at=past))


class FakeGateway:
    """Charges by key in memory, as the real one promises: the same key is the same charge."""

    def __init__(self) -> None:
        self.charges: dict[str, GatewayCharge] = {}
        self.outcome: ChargeStatus = "succeeded"  # of new charges
        self.is_away = False
        self.loses_answers = False  # it charges, but nobody hears of it
        self.refunds = 0

    async def charge(self, key: str, amount: Decimal, method: str) -> GatewayCharge:
        self._be_there()
        new = GatewayCharge(id=f"ch_{len(self.charges) + 1}", reference=key, amount=amount, status=self.outcome)
        return self._answer(self.charges.setdefault(key, new))

    async def find(self, key: str) -> GatewayCharge | None:
        self._be_there()
        return self.charges.get(key)

    async def refund(self, charge_id: str) -> GatewayCharge:
        self._be_there()
        (charge,) = (charge for charge in self.charges.values() if charge.id == charge_id)
        if charge.status == "succeeded":
            self.refunds += 1
        return self._answer(self.decide(charge, "refunded"))

    def decide(self, charge: GatewayCharge, status: ChargeStatus) -> GatewayCharge:
        """Bring a charge to another state; answers it as it is then."""
        self.charges[charge.reference] = charge.model_copy(update={"status": status})
        return self.charges[charge.reference]

    def only(self) -> GatewayCharge:
        """The only charge there is."""
        (charge,) = self.charges.values()
        return charge

    def _be_there(self) -> None:
        if self.is_away:
            raise GatewayAway

    def _answer(self, charge: GatewayCharge) -> GatewayCharge:
        if self.loses_answers:
            raise GatewayAway
        return charge
