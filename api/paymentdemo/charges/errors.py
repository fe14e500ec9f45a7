"""What can go wrong with charges. A declined charge is no error: it is a charge."""

from utils.custom_exc import Conflict, NotAuthenticated, NotFound


class KeyInvalid(NotAuthenticated):
    """The API key is missing or not the right one."""

    code = 40131
    message = "Send the API key of the gateway as “Authorization: Bearer …”; it is what APP_PAYMENT_SECRET says."


class ChargeNotFound(NotFound):
    """No charge has this id."""

    code = 40431
    message = "There is no charge with this id."


class KeyReused(Conflict):
    """The Idempotency-Key belongs to another charge."""

    code = 40931
    message = "This Idempotency-Key belongs to a charge with another body; send a new key for a new charge."


class NothingToRefund(Conflict):
    """The charge is pending or was declined: no money has moved."""

    code = 40932
    message = "Only a charge that succeeded can be refunded."
