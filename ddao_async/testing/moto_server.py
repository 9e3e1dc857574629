"""
An S3 server to test against: moto, in a process of its own, on a free port of the loopback interface.

    python -m ddao_async.testing.moto_server        prints its port, answers until its standard input ends

So it never outlives whoever started it, however that ends. In process moto does not work with asyncio clients: it
patches botocore's synchronous HTTP.
"""

from __future__ import annotations

import sys


def serve() -> None:
    """Be the server."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    serve()
