"""What uvicorn is told, whoever starts it: `python main.py serve` or gunicorn."""

import sys
from typing import Any

from settings import Settings

# Longer than a reverse proxy keeps an idle connection (nginx and most balancers: 60), so that it is never ours that is
# closed at the moment the next request is sent on it.
KEEP_ALIVE_SECONDS = 75

# What may follow when the requests are answered or given up: sockets, database, log. Then the worker is killed.
CLOSING_SECONDS = 5

# Frames that are somewhat too large are read and get an error; larger ones cost nobody more than their first bytes.
READ_FRAMES = 4  # times as large as they may be


def server_options(settings: Settings) -> dict[str, Any]:
    """Arguments of `uvicorn.Config`; the log and the access lines are ours."""
    return {
        "loop": "auto" if sys.platform == "win32" else "extensions.event_loop:EventLoop",
        "http": "extensions.http_server:HttpProtocol",
        "ws": "extensions.websocket_server:FrameProtocol",
        "ws_max_size": READ_FRAMES * settings.chat_frame_bytes,
        "ws_per_message_deflate": False,
        "forwarded_allow_ips": settings.trusted_proxies,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": settings.grace_seconds,
        "log_config": None,
        "access_log": False,
        "server_header": False,
    }
