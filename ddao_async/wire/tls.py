"""
Whom the wire lane trusts: certificates are verified against host names, TLS is 1.2 at least.
"""

from __future__ import annotations

import os
import ssl
from importlib.util import find_spec
from pathlib import Path


def tls_context(authorities: str | None) -> ssl.SSLContext:
    """
    Return a context for one adapter; making one costs 35 ms.

    Args:
        authorities: File of trusted certificates; None for the system's, or botocore's where the system has none (a
            slim container).
    """
    if authorities is None:
        paths = ssl.get_default_verify_paths()
        if not (paths.cafile or (paths.capath and os.listdir(paths.capath))):
            authorities = _bundled()
    context = ssl.create_default_context(cafile=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _bundled() -> str | None:
    """The authorities that come with botocore, found without importing it."""
    found = find_spec("botocore")
    path = Path(found.origin).with_name("cacert.pem") if found is not None and found.origin else None
    return str(path) if path is not None and path.exists() else None
