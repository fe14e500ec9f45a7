"""What can go wrong with the chat; on an open socket each is an error frame with the same code."""

from utils.custom_exc import (
    Conflict,
    ContentTooLarge,
    Forbidden,
    NotAuthenticated,
    NotFound,
    NotReady,
    TooManyRequests,
    ValidationFailed,
)


class GuestsNotAllowed(NotAuthenticated):
    """Only users with a token may come in here."""

    code = 40111
    message = "Guests are not allowed here: send an access token."


class OriginNotAllowed(Forbidden):
    """A page of another site tried to open a socket in its visitor's name."""

    code = 40311
    message = "Pages of this origin may not open sockets here; APP_CORS_ORIGINS lists those that may."


class RecipientNotConnected(NotFound):
    """Nobody of this name is connected; a private message is not kept."""

    code = 40411
    message = "Nobody of this name is connected, so the private message was not delivered."


class NameTaken(Conflict):
    """The name belongs to a registered user, or to somebody who is connected."""

    code = 40911
    message = "This name is taken; choose another one."


class FrameTooLarge(ContentTooLarge):
    """The frame has more bytes than a frame may have."""

    code = 41311
    message = "The frame is too large."


class FrameInvalid(ValidationFailed):
    """The frame is not one that the protocol knows."""

    code = 42211
    message = 'Send a JSON text frame such as {"message": "hi"}; /asyncapi describes all of them.'


class NameInvalid(ValidationFailed):
    """The name of a user or a room has other characters than names may have, or is too long."""

    code = 42212
    message = "Names of users and rooms have 1 to 32 letters (of any script), digits, “_”, “-” or “.”."


class SinceInvalid(ValidationFailed):
    """`since` is not the id of a message."""

    code = 42213
    message = "since is the id of the last message that you have: a whole number from 0 on."


class TooManyMessages(TooManyRequests):
    """The socket sends faster than a socket may."""

    code = 42911
    message = "You send too fast; this message was not stored."


class TooManySocketsOfUser(TooManyRequests):
    """The user has as many sockets open as a user may."""

    code = 42912
    message = "You have too many connections open; close one of them."


class TooManySocketsOfAddress(TooManyRequests):
    """The address has as many sockets open as an address may."""

    code = 42913
    message = "There are too many connections from your address."


class TooManyRoomsOfUser(TooManyRequests):
    """The user is in as many rooms as a user may be."""

    code = 42914
    message = "You are in too many rooms; leave one of them."


class NotStored(NotReady):
    """The message could not be stored or handed on just now; it may be sent again."""

    code = 50311
    message = "The message could not be stored just now; send it again in a moment."
