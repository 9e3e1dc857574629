"""
`ddao-async doctor`: examines a database step by step and says what to do about what it finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import anyio
import typer

from .option import AsJson, Url, required_url
from .output import emit, say

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from ..storage.protocol import ObjectStore

Where = Annotated[str | None, typer.Argument(metavar="[URL]", help="Instead of --url.", show_default=False)]
_MARKS = {"ok": "ok  ", "note": "NOTE", "failed": "FAIL", "skipped": "skip"}


def doctor(where: Where = None, url: Url = None, as_json: AsJson = False) -> None:
    """Check credentials, bucket, region, clock, reading, writing and what the server promises, with hints."""
    from ..maintenance.doctor import Health, diagnose
    from ..storage.adapter import adapter_for
    from .session import show_log

    named = required_url(where or url)
    show_log(named)

    async def work() -> int:
        failed = 0
        async with cast("AbstractAsyncContextManager[ObjectStore]", adapter_for(named)) as store:
            async for step in diagnose(store):
                failed += step.health is Health.FAILED
                if as_json:
                    emit(step, as_json=True)
                    continue
                say(f"{_MARKS[step.health.value]}  {step.name:<20} {step.detail}")
                if step.hint:
                    say(f"{'':26} {step.hint}")
        return failed

    if anyio.run(work):
        raise typer.Exit(1)
