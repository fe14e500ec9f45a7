"""What can go wrong with payments."""

from utils.custom_exc import Conflict, NotAuthenticated, NotFound, NotReady, PaymentRequired, ValidationFailed


class SignatureInvalid(NotAuthenticated):
    """The webhook is not signed by the gateway, or it is too old."""

    code = 40132
    message = "The webhook's signature is not valid, or it is older than five minutes: sign it anew and send it again."


class PaymentDeclined(PaymentRequired):
    """The card was declined; the order still waits and may be paid by another one."""

    code = 40201
    message = "The card was declined; pay by another one while the order waits."


class PaymentUnknown(NotFound):
    """The gateway speaks of a payment that nobody here has begun."""

    code = 40432
    message = "There is no payment with this reference."


class PaymentReturned(Conflict):
    """The order could not be paid any more when the payment came; the money goes back."""

    code = 40933
    message = "The order could not be paid any more when the payment came; the money is returned."


class AmountDiffers(Conflict):
    """The gateway has charged another amount than the order's."""

    code = 40934
    message = "The amount of the charge is not the order's total."


class MethodUnknown(ValidationFailed):
    """The gateway does not know this way to pay."""

    code = 42232
    message = "The payment gateway does not know this method."


class GatewayAway(NotReady):
    """The payment gateway does not answer; nothing is charged twice."""

    code = 50331
    message = "The payment gateway does not answer just now; pay again in a moment, nothing is charged twice."


class AnswerUnclear(GatewayAway):
    """The payment gateway answers what is not understood; the log has it."""

    code = 50332
    message = "The payment gateway answers what is not understood; pay again later, nothing is charged twice."
