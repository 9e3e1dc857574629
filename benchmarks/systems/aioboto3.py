"""aioboto3: boto3's session over the aiobotocore that it pins."""

from __future__ import annotations

import aioboto3

from ..place import Place
from .aiobotocore import Client, close, create, delete, get, head, insert, list, read, settings, stream, upload

__all__ = ["close", "create", "delete", "get", "head", "insert", "label", "list", "open", "read", "stream", "upload"]
label = "aioboto3"


async def open(place: Place) -> Client:
    context = aioboto3.Session().client("s3", **settings(place))
    return Client(context, await context.__aenter__(), place.bucket)
