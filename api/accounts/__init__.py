"""Accounts: who may come in with which password, tokens that say who is there, and administrators."""

from fastapi import APIRouter

from api.accounts.passwords import open_passwords
from api.accounts.tokens import tokens
from api.accounts.upkeep import open_accounts
from api.accounts.users import users
from extensions.database import open_database
from extensions.security import open_tokens

requires = (open_database, open_tokens, open_passwords, open_accounts)

router = APIRouter(prefix="/accounts")
router.include_router(users.router)
router.include_router(tokens.router)
