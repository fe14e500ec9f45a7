"""The bodies that the endpoints of accounts exchange."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from api.accounts.names import MAX_NAME, MIN_NAME
from utils.fields import MAX_ID, STORABLE, refuse_unstorable
from utils.response_code import Envelope, Output

MAX_PASSWORD = 128
MAX_ROLES = 20
MAX_REFRESH_TOKEN = 200

ADMIN = "admin"


def _usable(password: SecretStr) -> SecretStr:
    text = refuse_unstorable(password.get_secret_value())
    if len(text) > MAX_PASSWORD:
        raise ValueError(f"must have at most {MAX_PASSWORD} characters")
    return password


Username = Annotated[
    str,
    StringConstraints(min_length=MIN_NAME, max_length=MAX_NAME),
    STORABLE,
    Field(description="Letters and digits of any script, “_”, “-” and “.”.", examples=["alice", "爱丽丝"]),
]
Password = Annotated[SecretStr, AfterValidator(_usable), Field(json_schema_extra={"maxLength": MAX_PASSWORD})]
# Its least length is a setting, so the rule is in `api.accounts.passwords`.
NewPassword = Annotated[
    Password,
    Field(
        description="15 or more of any characters (APP_PASSWORD_MIN_LENGTH); not one that is tried first.",
        examples=["four teapots under a plum tree"],
    ),
]
Role = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


class UserCreate(BaseModel):
    """Who registers."""

    model_config = ConfigDict(extra="forbid")

    username: Username
    password: NewPassword


class User(BaseModel):
    """A user as they and administrators see them."""

    id: int
    username: str
    roles: list[str]
    is_active: bool = Field(description="False: blocked, cannot log in.")
    created_at: datetime


def _left_out() -> Any:
    """The default of a field that may be left out but not be null."""
    return None


class UserUpdate(BaseModel):
    """What an administrator changes; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"roles": ["push"]}]})

    roles: Annotated[list[Role], Field(max_length=MAX_ROLES)] = Field(default_factory=_left_out)
    is_active: bool = Field(default_factory=_left_out, strict=True)


class UserQuery(BaseModel):
    """Which part of the users."""

    page: int = Field(1, ge=1, le=MAX_ID)
    size: int = Field(20, ge=1, le=100)
    q: Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_NAME), STORABLE] = Field(
        "", description="A part of the name; upper and lower case are the same."
    )


class UserPage(BaseModel):
    """One page of users, the first registered first."""

    items: list[User]
    total: int
    page: int
    size: int


class PasswordChange(BaseModel):
    """A new password, from whoever knows the current one."""

    model_config = ConfigDict(extra="forbid")

    current_password: Password
    new_password: NewPassword


class RefreshToken(BaseModel):
    """A refresh token, as it was given out."""

    model_config = ConfigDict(extra="forbid")

    refresh_token: Annotated[str, StringConstraints(max_length=MAX_REFRESH_TOKEN), STORABLE]


class TokenPair(Output):
    """What a login gives: a token for some minutes, and one to get the next pair with, which is good once."""

    access_token: str = Field(description="To be sent as “Authorization: Bearer …”.")
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - what it is called
    expires_in: int = Field(description="Seconds for which the access token is valid.")
    refresh_token: str
    refresh_expires_in: int = Field(description="Seconds for which the login can be refreshed at all.")


class TokenAnswer(Envelope[TokenPair]):
    """The envelope, and beside it what clients of OAuth 2 look for."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - what it is called
