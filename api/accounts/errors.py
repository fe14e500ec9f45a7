"""What can go wrong with accounts."""

from types import MappingProxyType

from utils.custom_exc import Conflict, Forbidden, NotAuthenticated, NotFound, TooManyRequests, ValidationFailed


class LoginFailed(NotAuthenticated):
    """No such name, another password, or a blocked account; which of them is not told."""

    code = 40121
    message = "Name or password is wrong; check both and try again."


class RefreshTokenInvalid(NotAuthenticated):
    """The refresh token is unknown, used already, revoked or too old."""

    code = 40122
    message = "The refresh token is not valid any more; log in again."


class PasswordWrong(Forbidden):
    """The current password is another one."""

    code = 40321
    message = "The current password is wrong; check it and try again."


class UserNotFound(NotFound):
    """No user has this id."""

    code = 40421
    message = "There is no user with this id."


class AccountMissing(NotFound):
    """The token is valid, but its name has no account here."""

    code = 40422
    message = "The name in your token has no account here; register it, or log in with one that has."


class UsernameTaken(Conflict):
    """Somebody is called so already; upper and lower case are the same."""

    code = 40921
    message = "This name is taken; choose another one."


class OwnAccessKept(Conflict):
    """Administrators cannot block themselves or give up their role, so there always is one."""

    code = 40922
    message = "You cannot block yourself or give up the admin role; ask another administrator to do it."


class PasswordTooGuessable(ValidationFailed):
    """The password is among those that are tried first."""

    code = 42221
    message = "This password is among the first that somebody would try; choose one that is harder to guess."


class PasswordTooShort(ValidationFailed):
    """The password has too few characters."""

    code = 42222
    message = "The password is too short; several words make a good one."


class UsernameInvalid(ValidationFailed):
    """Nobody can be called so."""

    code = 42223
    message = "A name has 2 to 32 letters or digits of any script, “_”, “-” or “.”; choose such a one."


class TooManyAttempts(TooManyRequests):
    """Too many passwords were tried for this name or from this address; `Retry-After` says when to come back."""

    code = 42921
    message = "Too many passwords were tried; wait as long as Retry-After says."
    headers = MappingProxyType({"Retry-After": "60"})


class TooManyRegistrations(TooManyRequests):
    """Too many registered from this address; `Retry-After` says when to come back."""

    code = 42922
    message = "Too many registered from your address; wait as long as Retry-After says."
    headers = MappingProxyType({"Retry-After": "3"})
