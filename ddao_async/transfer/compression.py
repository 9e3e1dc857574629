"""
Compressed bytes into plain ones and back, as they come: gzip and Zstandard, several members or frames one after the
other too. Pure, and never more than some 8 MiB at a time, however much a few bytes unfold to.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, Literal, Protocol

from ..errors import ConfigurationError, ValidationError

Compression = Literal["gzip", "zstd"]

_OF_SUFFIX: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}

_GZIP = 16 + zlib.MAX_WBITS
_PIECE_BYTES = 1 << 20
_ZSTD_SLICE = 256
"""A Zstandard block of 4 bytes may unfold to 128 KiB: so much is fed at a time at most."""


class Decompressor(Protocol):
    """Compressed chunks in, plain pieces out; `close` where the file ends."""

    def feed(self, chunk: bytes) -> Iterator[bytes]: ...

    def close(self) -> None: ...


def decompressor(compression: Compression) -> Decompressor:
    """
    A new decompressor.

    Raises:
        ConfigurationError: The package for it is not installed.
    """
    return _Gzip() if compression == "gzip" else _Zstandard()


class Compressor(Protocol):
    """Plain pieces in, compressed ones out; `flush` gives the end."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def compressor(compression: Compression) -> Compressor:
    """
    A new compressor.

    Raises:
        ConfigurationError: The package for it is not installed.
    """
    return (
        zlib.compressobj(6, zlib.DEFLATED, _GZIP)
        if compression == "gzip"
        else _zstandard().ZstdCompressor().compressobj()
    )


def compression_of(suffix: str) -> Compression | None:
    """How a file with this ending (`.gz`) is packed; None: it is not."""
    return _OF_SUFFIX.get(suffix.lower())


def _zstandard() -> Any:
    try:
        import zstandard
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            ".zst files need the package zstandard.", hint='pip install "ddao-async[zstd]"'
        ) from error
    return zstandard


class _Gzip:
    def __init__(self) -> None:
        self._member: Any = zlib.decompressobj(_GZIP)
        self._is_between = True  # no byte of the current member was read

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        rest = chunk
        while rest:
            if self._is_between:
                rest = rest.lstrip(b"\0")  # padding after a member, as tapes have it
                if not rest:
                    return
            self._is_between = False
            try:
                piece = self._member.decompress(rest, _PIECE_BYTES)
            except zlib.error as error:
                raise _broken("gzip", error) from error
            if piece:
                yield piece
            rest = self._member.unconsumed_tail
            if self._member.eof:
                rest = self._member.unused_data
                self._member, self._is_between = zlib.decompressobj(_GZIP), True
        # what the member still holds back comes with its next bytes, or its end

    def close(self) -> None:
        if not self._is_between:
            raise _broken("gzip", "it ends in the middle")


class _Zstandard:
    def __init__(self) -> None:
        zstandard = _zstandard()
        self._open: Any = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj
        self._error: type[Exception] = zstandard.ZstdError
        self._frame: Any = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        for start in range(0, len(chunk), _ZSTD_SLICE):
            rest = chunk[start : start + _ZSTD_SLICE]
            while rest:
                self._frame = self._frame or self._open()
                try:
                    piece = self._frame.decompress(rest)
                except self._error as error:
                    raise _broken("zstd", error) from error
                if piece:
                    yield piece
                rest = b""
                if self._frame.eof:
                    rest, self._frame = self._frame.unused_data, None

    def close(self) -> None:
        if self._frame is not None:
            raise _broken("zstd", "it ends in the middle")


def _broken(compression: str, reason: object) -> ValidationError:
    return ValidationError(f"The file is not whole {compression} data: {reason}.", hint="Fetch or pack it again.")
