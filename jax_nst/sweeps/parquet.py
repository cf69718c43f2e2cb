"""The table of a sweep as `results.parquet`, with types, for pandas, Polars, DuckDB, R and others."""

import io
from pathlib import Path
from typing import Any

from jax_nst.sweeps.frames import read_columns
from jax_nst.sweeps.job import PARQUET
from jax_nst.sweeps.records import write_file

_UNITS = {"seconds": "s"}


def write_parquet(folder: Path) -> None:
    """Writes `results.parquet` from the `results.csv` beside it; nothing where pyarrow is not installed.

    Integers, numbers and text have their types, empty cells are null, and settings that are no numbers are
    dictionary-encoded, which pandas reads as categories.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:  # the extra `tables`
        (folder / PARQUET).unlink(missing_ok=True)  # of another environment, and of fewer items
        return
    kinds: dict[str, Any] = {
        "integer": pa.int64(),
        "number": pa.float64(),
        "category": pa.dictionary(pa.int32(), pa.string()),
        "string": pa.string(),
    }
    columns = read_columns(folder)
    fields = [
        pa.field(name, kinds[column.kind], metadata={"unit": _UNITS[name]} if name in _UNITS else None)
        for name, column in columns.items()
    ]
    table = pa.table([column.values for column in columns.values()], schema=pa.schema(fields))
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    write_file(folder / PARQUET, buffer.getvalue())
