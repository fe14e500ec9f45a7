"""Serve one peer with uvicorn, set up the same for every one: `python -m bench.http.serve MODULE:FACTORY PORT`."""

import sys

import uvicorn

if __name__ == "__main__":
    uvicorn.run(
        sys.argv[1],
        factory=True,
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
