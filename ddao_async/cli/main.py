"""
The entry point of `ddao-async`: runs the command line and turns whatever ends it into an exit status and one line.

0: done. 1: failed, and the line says why and what to do. 2: the command line itself is wrong. 130: interrupted.
`DDAO_DEBUG=1` in the environment lets tracebacks through.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ..errors import DDAOError

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run one command.

    Args:
        arguments: The words after the program's name; the process's own by default.

    Returns:
        The exit status.
    """
    try:
        from . import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich"):
            raise
        return _fail('The command line needs typer and rich. Install them: pip install "ddao-async[cli]"', FAILED)
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
    try:
        words = list(sys.argv[1:] if arguments is None else arguments)
        status = app.command_line(args=words or ["--help"], prog_name="ddao-async", standalone_mode=False)
        sys.stdout.flush()
        if status == INTERRUPTED:  # how newer versions of typer end at Ctrl-C
            raise KeyboardInterrupt
        return status if isinstance(status, int) else DONE
    except app.UsageFault as error:
        return _fail(f"{error.format_message().rstrip('.')}. 'ddao-async --help' shows what there is.", USAGE)
    except (KeyboardInterrupt, app.Abort):
        return _fail("Interrupted.", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output left. Nothing more can be said there, and flushing it at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (DDAOError, OSError) as error:
        return _fail(str(error), FAILED, error)
    except Exception as error:
        return _fail(
            f"Internal error: {type(error).__name__}: {error}. Run it again with DDAO_DEBUG=1 for the traceback.",
            FAILED,
            error,
        )


def _fail(message: str, status: int, error: Exception | None = None) -> int:
    if error is not None and os.environ.get("DDAO_DEBUG"):
        raise error
    print(f"ddao-async: {' '.join(message.split())}", file=sys.stderr)
    return status
