"""The routes of charges."""

from fastapi import APIRouter, Response

from api.paymentdemo.charges.dependencies import (
    AsShop,
    ChargeId,
    ChargesDep,
    IdempotencyKey,
    KnownKey,
    ProcessorDep,
)
from api.paymentdemo.charges.errors import ChargeNotFound, KeyInvalid, KeyReused, NothingToRefund
from api.paymentdemo.schemas import Charge, ChargeCreate
from utils.custom_exc import NotReady, errors
from utils.response_code import document_headers
from utils.routing import EnvelopeRoute

router = APIRouter(
    prefix="/charges",
    tags=["payment gateway"],
    route_class=EnvelopeRoute,
    dependencies=[AsShop],
    responses=errors(KeyInvalid, NotReady),
)


@router.post("", status_code=201, responses={**document_headers(201, "Location"), **errors(KeyReused)})
async def create_charge(
    charge: ChargeCreate, processor: ProcessorDep, idempotency_key: IdempotencyKey, response: Response
) -> Charge:
    """Charge a card, once for each Idempotency-Key: with the same key and body you get that charge as it is now.

    A pending charge is settled within seconds. What becomes of it, and its refund, is told to `callback_url` by POST,
    signed by the Standard Webhooks specification, again and again for some hours until the answer is 2xx.
    """
    created = await processor.create(charge, idempotency_key)
    response.headers["Location"] = f"/paymentdemo/charges/{created.id}"
    return created


@router.get("")
async def list_charges(key: KnownKey, charges: ChargesDep) -> list[Charge]:
    """The charge that was made with this Idempotency-Key, or none: what to ask when an answer got lost."""
    return await charges.with_key(key)


@router.get("/{charge_id}", responses=errors(ChargeNotFound))
async def get_charge(charge_id: ChargeId, charges: ChargesDep) -> Charge:
    """One by id."""
    return await charges.get(charge_id)


@router.post("/{charge_id}/refund", responses=errors(ChargeNotFound, NothingToRefund))
async def refund_charge(charge_id: ChargeId, processor: ProcessorDep) -> Charge:
    """Give the money back; a charge that is refunded already stays so."""
    return await processor.refund(charge_id)
