"""A client for the Redis that APP_BROKER_URL names."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

PREFIX = "myfastapi:"  # of all keys and channels; `?prefix=` of the URL replaces it


def connect(url: str, seconds: float) -> tuple[Redis, str]:
    """A client that waits for so long for Redis and then raises, and the prefix of our keys and channels.

    The prefix names the database too: channels are those of all databases.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    prefix = query.pop("prefix", PREFIX)
    database = query.get("db") or parts.path.strip("/") or "0"
    redis = Redis.from_url(
        urlunsplit(parts._replace(query=urlencode(query))),
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        maint_notifications_config=MaintNotificationsConfig(enabled=False),  # only Redis Enterprise has them
    )
    return redis, f"{prefix}{database}:"
