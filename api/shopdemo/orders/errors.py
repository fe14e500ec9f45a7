"""What can go wrong with orders."""

from utils.custom_exc import Conflict, NotFound, ValidationFailed


class OrderNotFound(NotFound):
    """There is no order with this id, or it is somebody else's."""

    code = 40403
    message = "You have no order with this id."


class StockTooLow(Conflict):
    """Of some goods there are fewer left than ordered; `data.items` says which, and nothing was reserved."""

    code = 40903
    message = "Of some goods there are not enough left; data.items says which. Nothing was ordered."


class IdempotencyKeyReused(Conflict):
    """The Idempotency-Key belongs to another order of yours."""

    code = 40904
    message = "This Idempotency-Key belongs to another order of yours; send a new one."


class IllegalTransition(Conflict):
    """The order is in a state that does not allow this."""

    code = 40905
    message = "The state of the order does not allow this."


class GoodsNotForSale(ValidationFailed):
    """Some of the goods do not exist or are off sale; `data.errors` says which."""

    code = 42205
    message = "Some of the goods cannot be ordered; data.errors says which. Nothing was ordered."
