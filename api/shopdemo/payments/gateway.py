"""The payment gateway as the shop sees it, and how it is called over HTTP."""

from decimal import Decimal
from typing import Any, Protocol, TypeVar

import httpx
from loguru import logger
from pydantic import ValidationError

from api.shopdemo.payments.errors import AnswerUnclear, GatewayAway, MethodUnknown
from api.shopdemo.payments.schemas import GatewayCharge
from extensions.http_client import RETRY_ANY
from utils.fields import write_money
from utils.request_context import NO_REQUEST, request_id
from utils.response_code import Envelope

T = TypeVar("T")

CHARGES = "/charges"
LOGGED_CHARACTERS = 500
NO_GATEWAY = "There is no payment gateway at APP_PAYMENT_URL; set it to the address of one, then pay again."


class Gateway(Protocol):
    """What the shop needs of a payment gateway; what is asked twice happens once. All raise GatewayAway."""

    async def charge(self, key: str, amount: Decimal, method: str) -> GatewayCharge:
        """The charge with this key: a new one, or the one that was made with it before, by whatever method.

        Raises MethodUnknown.
        """

    async def find(self, key: str) -> GatewayCharge | None:
        """The charge that was made with this key."""

    async def refund(self, charge_id: str) -> GatewayCharge:
        """Give the money of a charge back."""


class HttpGateway:
    """A gateway that speaks the protocol of `/paymentdemo`."""

    def __init__(self, client: httpx.AsyncClient, url: str, api_key: str, callback_url: str) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._callback_url = callback_url

    async def charge(self, key: str, amount: Decimal, method: str) -> GatewayCharge:
        """The charge with this key; raises MethodUnknown or GatewayAway."""
        body = {
            "reference": key,
            "amount": write_money(amount),
            "method": method,
            "callback_url": self._callback_url,
        }
        answer = await self._ask("POST", CHARGES, json=body, headers={"Idempotency-Key": key})
        if _refuses_method(answer):
            raise MethodUnknown
        known = await self.find(key) if answer.status_code == httpx.codes.CONFLICT else None
        charge = known or _understood(answer, Envelope[GatewayCharge])
        if (charge.reference, charge.amount) != (key, amount):
            raise _unclear(answer)
        return charge

    async def find(self, key: str) -> GatewayCharge | None:
        """The charge that was made with this key; raises GatewayAway."""
        answer = await self._ask("GET", CHARGES, params={"key": key})
        found = _understood(answer, Envelope[list[GatewayCharge]])
        if any(charge.reference != key for charge in found):
            raise _unclear(answer)
        return found[0] if found else None

    async def refund(self, charge_id: str) -> GatewayCharge:
        """Give the money of a charge back; raises GatewayAway."""
        return _understood(await self._ask("POST", f"{CHARGES}/{charge_id}/refund"), Envelope[GatewayCharge])

    async def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**self._headers, **options.pop("headers", {})}
        if (id_ := request_id.get()) != NO_REQUEST:
            headers["X-Request-ID"] = id_
        try:
            answer = await self._client.request(
                method, self._url + path, headers=headers, extensions={"retry": RETRY_ANY}, **options
            )
        except httpx.TransportError as error:
            logger.warning("The payment gateway cannot be reached: {!r}", error)
            raise GatewayAway from error
        if answer.status_code == httpx.codes.NOT_FOUND and path == CHARGES:
            raise GatewayAway(NO_GATEWAY)
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error:
            logger.warning("The payment gateway is not ready: {}", answer.status_code)
            raise GatewayAway
        return answer


def _understood(answer: httpx.Response, expected: type[Envelope[T]]) -> T:
    """What a good answer says; raises AnswerUnclear."""
    if not answer.is_success:
        raise _unclear(answer)
    try:
        return expected.model_validate_json(answer.content).data
    except ValidationError as error:
        raise _unclear(answer) from error


def _unclear(answer: httpx.Response) -> AnswerUnclear:
    logger.error("The payment gateway answers {}: {}", answer.status_code, answer.text[:LOGGED_CHARACTERS])
    return AnswerUnclear()


def _refuses_method(answer: httpx.Response) -> bool:
    """Whether it is the method that does not fit: all else in a charge is ours, and no mistake of the customer."""
    if answer.status_code != httpx.codes.UNPROCESSABLE_ENTITY:
        return False
    try:
        return any(error["loc"] == ["body", "method"] for error in answer.json()["data"]["errors"])
    except (ValueError, LookupError, TypeError):
        return False
