"""Where a benchmark runs, and what one call is about: plain values that every competitor's environment can load."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit


class Place(NamedTuple):
    """One bucket of one server, with the credentials for it. `prefix` ends in a slash or is empty."""

    endpoint: str
    bucket: str
    prefix: str
    region: str
    access_key: str
    secret_key: str
    ca_file: str = ""
    max_connections: int = 64

    @property
    def url(self) -> str:
        """The connection string of ddao_async for it; credentials go through the environment."""
        options = {"region": self.region, "endpoint": self.endpoint, "max_connections": str(self.max_connections)}
        return f"s3://{self.bucket}/{self.prefix.rstrip('/')}?{urlencode(options)}"

    def environment(self) -> dict[str, str]:
        """What the environment of a client must hold: credentials, and whom to trust over TLS."""
        found = {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        if self.ca_file:
            found |= {"SSL_CERT_FILE": self.ca_file, "AWS_CA_BUNDLE": self.ca_file}
        return found


class Item(NamedTuple):
    """What one call is about: a document's id, its key (as the competitor wants it), and a body where it writes."""

    id: str
    key: str
    body: Any = b""


def parse_url(url: str, *, access_key: str, secret_key: str) -> Place:
    """
    Read a connection string of ddao_async (`s3://bucket/prefix?endpoint=…&region=…`); without an endpoint it is AWS.

    Raises:
        ValueError: Not of that form.
    """
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError(f"{url!r} is not s3://BUCKET/PREFIX?endpoint=http://HOST:PORT")
    prefix = parts.path.strip("/")
    region = options.get("region", ["us-east-1"])[0]
    return Place(
        endpoint=options.get("endpoint", [f"https://s3.{region}.amazonaws.com"])[0],
        bucket=parts.netloc,
        prefix=prefix + "/" if prefix else "",
        region=region,
        access_key=access_key,
        secret_key=secret_key,
    )
