"""What only this service must be asked with: a token to write, and its own cursors."""

import subprocess
import sys
from functools import cache

from api.shopdemo.goods.cursors import Cursor
from bench.databases import Database
from bench.http.contestants import shop_environment
from bench.http.server import ROOT


@cache
def admin_token() -> str:
    """An access token of an administrator, printed by the service's own command."""
    command = [sys.executable, "main.py", "token", "bench", "--role", "admin", "--minutes", "1440"]
    environment = shop_environment(Database("sqlite+aiosqlite:////none.db"))
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


def cursor_before(number: int) -> str:
    """The cursor of a list, newest first, that goes on with what is older than good number n."""
    return Cursor("-created_at", 0, number).encode()
