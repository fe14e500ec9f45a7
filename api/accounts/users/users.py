"""The routes of users."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.accounts.errors import (
    AccountMissing,
    OwnAccessKept,
    PasswordTooGuessable,
    PasswordTooShort,
    PasswordWrong,
    TooManyAttempts,
    TooManyRegistrations,
    UsernameInvalid,
    UsernameTaken,
    UserNotFound,
)
from api.accounts.schemas import PasswordChange, User, UserCreate, UserPage, UserQuery, UserUpdate
from api.accounts.throttle.dependencies import AddressDep
from api.accounts.users.dependencies import AsAdministrator, PasswordDeskDep, RegistryDep, UserId, UsersDep
from extensions.security import UserDep
from utils.custom_exc import Forbidden, NotAuthenticated, NotReady, errors
from utils.response_code import document_headers
from utils.routing import EnvelopeRoute

router = APIRouter(prefix="/users", tags=["users"], route_class=EnvelopeRoute)

PASSWORD_ERRORS = (PasswordTooShort, PasswordTooGuessable)
ADMIN_ERRORS = (NotAuthenticated, Forbidden, NotReady)


@router.post(
    "",
    status_code=201,
    responses={
        **document_headers(201, "Location"),
        **errors(NotReady, UsernameTaken, UsernameInvalid, TooManyRegistrations, *PASSWORD_ERRORS),
    },
)
async def register_user(user: UserCreate, address: AddressDep, registry: RegistryDep, response: Response) -> User:
    """Get an account: a name that nobody has, and a password that is long and not among those that are tried first.

    Letters outside of ASCII count in passwords too, but not every keyboard writes them in the same way.
    """
    registered = await registry.register(user, address)
    response.headers["Location"] = f"/accounts/users/{registered.id}"
    return registered


@router.get("", dependencies=[AsAdministrator], responses=errors(*ADMIN_ERRORS))
async def list_users(query: Annotated[UserQuery, Query()], users: UsersDep) -> UserPage:
    """All users, for administrators."""
    return await users.list(query)


@router.get("/me", responses=errors(NotAuthenticated, NotReady, AccountMissing))
async def get_me(caller: UserDep, users: UsersDep) -> User:
    """Your own account."""
    return await users.me(caller)


@router.put(
    "/me/password",
    status_code=204,
    response_class=Response,
    responses=errors(NotAuthenticated, NotReady, AccountMissing, PasswordWrong, TooManyAttempts, *PASSWORD_ERRORS),
)
async def replace_password(change: PasswordChange, caller: UserDep, address: AddressDep, desk: PasswordDeskDep) -> None:
    """Change your password. All your logins end: nobody can refresh them, access tokens run out within minutes."""
    await desk.replace(change, caller, address)


@router.get("/{user_id}", responses=errors(*ADMIN_ERRORS, UserNotFound))
async def get_user(user_id: UserId, caller: UserDep, users: UsersDep) -> User:
    """Yourself; an administrator gets anybody. For others it is 403, whether there is such a user or not."""
    return await users.get(user_id, caller)


@router.patch(
    "/{user_id}", dependencies=[AsAdministrator], responses=errors(*ADMIN_ERRORS, UserNotFound, OwnAccessKept)
)
async def update_user(user_id: UserId, change: UserUpdate, caller: UserDep, users: UsersDep) -> User:
    """Give a user other roles, or block them, for administrators.

    A blocked user cannot log in, and their logins end. Access tokens that are out stay valid until they expire.
    """
    return await users.update(user_id, change, caller)
