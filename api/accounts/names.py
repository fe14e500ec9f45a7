"""What people can be called, and when two names are the same."""

import re
from unicodedata import normalize

from api.accounts.errors import UsernameInvalid

MIN_NAME = 2  # 小林
MAX_NAME = 32

# Any such name is one in the chat too.
_NAME = re.compile(rf"[\w.\-]{{{MIN_NAME},{MAX_NAME}}}").fullmatch


def canonical_name(text: str) -> str:
    """The name in the one form in which it is kept (NFKC); raises UsernameInvalid when nobody can be called so."""
    if not is_name(text):
        error = {"loc": ["body", "username"], "message": UsernameInvalid.message, "type": "username"}
        raise UsernameInvalid(data={"errors": [error]})
    return normalize("NFKC", text)


def is_name(text: str) -> bool:
    """Whether somebody can be called so."""
    return len(text) <= MAX_NAME and _NAME(normalize("NFKC", text)) is not None


def name_key(text: str) -> str:
    """What two names have in common that are the same but for upper and lower case, or ways to write a letter.

    Of any text: who logs in or looks for somebody may type what is no name.
    """
    text = text[: MAX_NAME + 1]  # with more it is no name, whatever follows
    return normalize("NFKC", normalize("NFKC", text).casefold())
