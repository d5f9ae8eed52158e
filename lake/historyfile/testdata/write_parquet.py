"""Writes the Parquet files beside this one with pyarrow, a writer that shares nothing with the reader under test.

    python write_parquet.py
"""
import datetime as dt
import decimal
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

here = pathlib.Path(__file__).parent
at = dt.datetime(2024, 2, 29, 23, 59, 58, 123000, tzinfo=dt.timezone.utc)
item = pa.struct([("item_id", pa.string()), ("price", pa.float64()), ("tags", pa.list_(pa.string()))])
columns = {
    "id": (pa.string(), ["a", "é", "", None]),
    "small": (pa.int32(), [1, -2, 0, None]),
    "large": (pa.int64(), [2**60 + 1, -(2**60), 0, None]),
    "unsigned": (pa.uint32(), [2**32 - 1, 1, 0, None]),
    "real": (pa.float64(), [1.5, 1e21, float("nan"), None]),
    "single": (pa.float32(), [0.1, 3.0, float("nan"), None]),
    "yes": (pa.bool_(), [True, False, False, None]),
    "us": (pa.timestamp("us", tz="UTC"), [at, at.replace(microsecond=1), dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc), None]),
    "ms": (pa.timestamp("ms"), [at.replace(tzinfo=None), None, None, None]),
    "ns": (pa.timestamp("ns"), [at.replace(tzinfo=None), None, None, None]),
    "day": (pa.date32(), [at.date(), dt.date(1969, 12, 31), None, None]),
    "exact": (pa.decimal128(20, 2), [decimal.Decimal("12345678901234567.89"), decimal.Decimal("-0.05"), decimal.Decimal("0.00"), None]),
    "price": (pa.decimal128(9, 2), [decimal.Decimal("19.90"), decimal.Decimal("-0.05"), None, None]),
    "bytes": (pa.binary(), [b"text", b"\xff", b"", None]),
    "items": (pa.list_(item), [[{"item_id": "x", "price": 9.5, "tags": ["p", "q"]}, {"item_id": "y", "price": None, "tags": []}], [], None, None]),
    "props": (pa.map_(pa.string(), pa.string()), [[("k", "v"), ("l", "w")], [], None, None]),
    "page": (pa.struct([("url", pa.string()), ("title", pa.string())]), [{"url": "/", "title": None}, None, None, None]),
}
table = pa.table({name: pa.array(values, type=kind) for name, (kind, values) in columns.items()})
pq.write_table(table, here / "snappy.parquet", compression="snappy", row_group_size=2, store_decimal_as_integer=True)
pq.write_table(table, here / "zstd_v2.parquet", compression="zstd", data_page_version="2.0", use_dictionary=False)
pq.write_table(table.select(["id", "us"]), here / "int96.parquet", use_deprecated_int96_timestamps=True)
pq.write_table(table.select(["id"]), here / "lz4.parquet", compression="lz4")
