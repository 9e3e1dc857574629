"""Markers and the list of fixture modules; fixtures themselves live in the `fix_*.py` beside this file."""

from __future__ import annotations

import pytest

pytest_plugins = ["fix_go", "fix_lane", "fix_proxy", "fix_server", "fix_storage"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "s3: talks to the server of DDAO_TEST_S3_DSN; deselected without it")
