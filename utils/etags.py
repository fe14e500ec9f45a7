"""Entity tags of RFC 9110, section 8.8.3 and 13.1."""

import re

_TAG = re.compile(r'(?:W/)?("[^"]*")')


def matches(header: str, etag: str) -> bool:
    """Whether an `If-Match` or `If-None-Match` header names `etag` (compared weakly) or is `*`."""
    return header.strip() == "*" or etag in _TAG.findall(header)
