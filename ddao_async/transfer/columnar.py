"""
Parquet, by pyarrow: rows out of a file a few thousand at a time, and documents into one.

What JSON writes as text (instants, decimals, uuids, bytes) stays that text, and nested values become JSON text, so that
what an export wrote an import reads back exactly; the type of each column stands in its metadata (`ddao.type`). A file
of another program gives instants and bytes as the text that a document stores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec

from ..errors import ConfigurationError, ValidationError
from ..model.schema import Column
from .rendering import count_left_out, names_of
from .row import Reject, Row
from .source import Rows

BATCH_ROWS = 2000
GROUP_ROWS = 20_000
"""Rows of one row group that is written: they wait in memory, packed."""

_TYPE = b"ddao.type"


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise ConfigurationError(
            "Parquet needs the package pyarrow.", hint='pip install "ddao-async[parquet]"'
        ) from error
    return pyarrow, pyarrow.parquet


async def parquet_rows(path: Path, on_bytes: Callable[[int], None]) -> Rows:
    """
    The rows of a file, `line` being their number. Bytes are told by the share of rows that were read.

    Raises:
        ValidationError: It is not a Parquet file.
    """
    pyarrow, parquet = _pyarrow()
    size = (await anyio.Path(path).stat()).st_size
    try:
        file = await anyio.to_thread.run_sync(partial(parquet.ParquetFile, path))
    except pyarrow.ArrowException as error:
        raise ValidationError(f"{path} is not a Parquet file: {error}", hint="Name another format.") from error
    try:
        schema: Any = file.schema_arrow
        nested: list[str] = [field.name for field in schema if field.metadata and field.metadata.get(_TYPE) == b"json"]
        share = size / max(1, file.metadata.num_rows)
        batches = file.iter_batches(batch_size=BATCH_ROWS)
        number = 0
        while True:
            rows = await anyio.to_thread.run_sync(partial(_next_rows, batches, pyarrow, nested, number))
            if rows is None:
                return
            on_bytes(int(share * (number + len(rows))) - int(share * number))
            number += len(rows)
            yield rows
    finally:
        file.close()


def _next_rows(batches: Any, pyarrow: Any, nested: Sequence[str], number: int) -> list[Row | Reject] | None:
    try:
        batch = next(batches, None)
    except pyarrow.ArrowException as error:
        raise ValidationError(f"Row {number + 1:,} cannot be read: {error}", hint="Write the file again.") from error
    if batch is None:
        return None
    return [_row(number + n, fields, nested) for n, fields in enumerate(batch.to_pylist(), 1)]


def _row(line: int, fields: dict[str, Any], nested: Sequence[str]) -> Row | Reject:
    try:
        values: dict[str, Any] = msgspec.to_builtins(fields, str_keys=True)
        for name in nested:
            if isinstance(text := values.get(name), str):
                values[name] = msgspec.json.decode(text)
    except (TypeError, ValueError, OverflowError) as error:  # msgspec's errors are ValueErrors too
        return Reject(line, f"not a row: {error}")
    return Row(line, values)


class ParquetFile:
    """
    Documents into one file, a row group at a time.

    Args:
        path: The file, which is written anew.
        columns: Of the table; `id` comes before them.
    """

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self.left_out: dict[str, int] = {}
        self._pyarrow, parquet = _pyarrow()
        kinds = {"integer": "int64", "float": "float64", "boolean": "bool_"}
        types = {column.name: column.type for column in columns}
        self._kinds = {name: types.get(name, "text") if name != "id" else "text" for name in names_of(columns)}
        fields = [
            self._pyarrow.field(
                name, getattr(self._pyarrow, kinds.get(kind, "string"))(), metadata={_TYPE: kind.encode()}
            )
            for name, kind in self._kinds.items()
        ]
        self._schema = self._pyarrow.schema(fields)
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._values: dict[str, list[Any]] = {name: [] for name in self._kinds}
        self.waiting = 0
        """Documents taken and not written."""

    def add(self, document: dict[str, Any]) -> None:
        """Take one document; `flush` writes what has come together."""
        for name, values in self._values.items():
            value = document.get(name)
            if value is not None and self._kinds[name] == "json":
                value = msgspec.json.encode(value).decode()
            values.append(value)
        count_left_out(self.left_out, document, self._kinds.keys())
        self.waiting += 1

    def flush(self) -> None:
        """
        Write what has come together as one row group.

        Raises:
            ValidationError: A value is not of its column's type.
        """
        taken, self._values = self._values, {name: [] for name in self._kinds}
        count, self.waiting = self.waiting, 0
        arrays: list[Any] = []
        for field in self._schema:
            try:
                arrays.append(self._pyarrow.array(taken[field.name], type=field.type))
            except (self._pyarrow.ArrowException, OverflowError, TypeError) as error:
                raise ValidationError(
                    f"A value of column {field.name!r} does not go into Parquet: {error}",
                    hint="Export as jsonl, or mend the documents.",
                ) from error
        if count:
            self._writer.write_table(self._pyarrow.table(arrays, schema=self._schema))

    def close(self) -> None:
        """Write the end of the file."""
        self._writer.close()
