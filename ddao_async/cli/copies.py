"""
`ddao-async copy`: every object of one store into another.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer

from ..errors import ConfigurationError, StoreError
from .option import AsJson
from .output import emit, note
from .progress import Progress

if TYPE_CHECKING:
    from ..transfer.copies import CopyReport

From = Annotated[str, typer.Argument(metavar="URL", help="Where to copy from.", show_default=False)]
To = Annotated[str, typer.Argument(metavar="URL", help="Where to copy to.", show_default=False)]
Verify = Annotated[bool, typer.Option("--verify", help="Then read both, and compare every object.")]
Concurrency = Annotated[int, typer.Option("--concurrency", min=1, max=10_000, metavar="N", help="Objects in flight.")]

MAX_SHOWN = 100


def copy(
    source: From, target: To, verify: Verify = False, concurrency: Concurrency = 64, as_json: AsJson = False
) -> None:
    """Copy all objects as they are, with their metadata; what is there and equal is skipped, nothing is removed."""
    from .session import show_log

    if source == target:
        raise ConfigurationError("Source and target are the same.", hint="Name two different stores.")
    show_log(source)
    show_log(target)
    copied, compared = anyio.run(_run, source, target, verify, concurrency, as_json)
    if as_json:
        emit({"copy": copied, **({"verify": compared} if compared else {})}, as_json=True)
    else:
        _tell(copied, compared)
    failed = len(copied.failed) + (len(compared.failed) if compared else 0)
    if failed:
        raise StoreError(f"{failed:,} objects were not copied as they are.", hint="Run it again to go on.")


async def _run(
    source_url: str, target_url: str, verify: bool, concurrency: int, as_json: bool
) -> tuple[CopyReport, CopyReport | None]:
    from ..storage.adapter import adapter_for
    from ..transfer.copies import compare_objects, copy_objects

    async with AsyncExitStack() as exits:
        stores: list[Any] = []
        for url in (source_url, target_url):
            adapter: Any = adapter_for(url)
            store: Any = await exits.enter_async_context(adapter)
            if (check := getattr(store, "check", None)) is not None:
                await check()
            stores.append(store)
        with Progress("objects", as_json=as_json) as progress:

            def on_progress(now: CopyReport) -> None:
                progress.show(now.copied + now.equal, now.bytes_copied, errors=len(now.failed), before=now.equal)

            copied = await copy_objects(*stores, concurrency=concurrency, on_progress=on_progress)
        if not verify:
            return copied, None
        with Progress("objects compared", as_json=as_json) as progress:

            def on_compared(now: CopyReport) -> None:
                progress.show(now.equal, errors=len(now.failed))

            return copied, await compare_objects(*stores, concurrency=concurrency, on_progress=on_compared)


def _tell(copied: CopyReport, compared: CopyReport | None) -> None:
    failed = list(copied.failed.items()) + (list(compared.failed.items()) if compared else [])
    for key, problem in failed[:MAX_SHOWN]:
        note(f"{key}: {problem}")
    if len(failed) > MAX_SHOWN:
        note(f"{len(failed) - MAX_SHOWN:,} more are not shown; --json shows all.")
    note(f"{copied.copied:,} objects copied, {copied.bytes_copied:,} bytes; {copied.equal:,} were there and equal.")
    if compared:
        extra = f" The target has {compared.extra:,} more." if compared.extra else ""
        note(f"{compared.equal:,} objects are equal in both, {len(compared.failed):,} are not.{extra}")
