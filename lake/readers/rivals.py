"""Other engines, timed beside Millrace's lake on the same rows. rivals_test.go asks one request a line, as JSON, and reads
one answer a line:

    {"do": "load", "files": [...]}                      takes the rows of landed files into memory: rows
    {"do": "land", "engine": ..., "path": ...}          writes them as one durable file: seconds, rows, bytes
    {"do": "scan", "columns": ..., "files": [...]}      reads four columns as Arrow record batches: seconds, rows
    {"do": "sums", "files": [...]}                      what tells whether two writers wrote the same rows: sums
    {"do": "scan_sums", "columns": ..., "files": [...]} what tells whether two readers read the same rows: sums

Every engine has one thread. Only its work is timed: not the start of Python, not the making of rows, not a check.
"""
import json
import os
import sys
import time

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# The fifteen columns that are compared. An item has the fields that the rows fill.
MAIN = [
    "event_id", "site", "type", "occurred_at", "received_at", "anonymous_id", "user_id", "session_id", "items", "value",
    "currency", "kafka_topic", "kafka_epoch", "kafka_partition", "kafka_offset",
]
ITEM = ["item_id", "quantity", "price", "item_category"]

# The Parquet profile of landed files (lake/FORMAT.md), as far as an engine can be told.
ROW_GROUP = 122_880
PAGE_BYTES = 256 << 10
DICTIONARY_BYTES = 1 << 20
DICTIONARIES = ["site", "type", "currency", "kafka_topic", "items.list.element.item_category"]
ZSTD_LEVEL = 1  # what the lake's level for landed files is about as strong as

# Four columns of a scan, as DuckDB says them.
COLUMNS = {
    "flat": "anonymous_id, type, occurred_at, value",
    "nested": "anonymous_id, type, occurred_at, list_transform(items, lambda i: i.item_id) AS item_ids",
}

SUMS = """SELECT count(*), sum(strlen(event_id)), sum(hash(event_id, site, type, anonymous_id, user_id, session_id)), sum(epoch_us(occurred_at)),
    sum(epoch_us(received_at)), count(user_id), sum(len(items)), sum(list_sum(list_transform(items, lambda i: i.price * i.quantity))),
    sum(list_sum(list_transform(items, lambda i: strlen(i.item_id) + strlen(i.item_category)))), sum(value), count(currency),
    sum(hash(kafka_topic, kafka_epoch, kafka_partition, kafka_offset))"""


def narrowed(table):
    """The main columns of a table, items with the fields of ITEM only."""
    columns = []
    for name in MAIN:
        column = table.column(name).combine_chunks()
        if name == "items":
            fields = [column.values.field(f) for f in ITEM]
            column = pa.ListArray.from_arrays(column.offsets, pa.StructArray.from_arrays(fields, ITEM), mask=column.is_null())
        columns.append(column)
    return pa.table(columns, names=MAIN)


def sync(path):
    """Brings a file, and the name of it, to the disk, as a landing does."""
    for at in (path, os.path.dirname(path)):
        descriptor = os.open(at, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def listed(files):
    return "read_parquet([" + ", ".join(f"'{f}'" for f in files) + "])"


class Rivals:
    def __init__(self):
        pa.set_cpu_count(1)
        self.duckdb = duckdb.connect()
        self.duckdb.execute("SET threads = 1")
        self.duckdb.execute("SET TimeZone = 'UTC'")
        self.table = None

    def load(self, files):
        self.table = narrowed(pa.concat_tables(pq.read_table(f, partitioning=None) for f in files))
        self.duckdb.register("given", self.table)
        self.duckdb.execute("CREATE OR REPLACE TABLE main AS SELECT * FROM given")
        self.duckdb.unregister("given")
        return {"rows": self.table.num_rows}

    def land(self, engine, path):
        began = time.perf_counter()
        if engine == "duckdb":
            self.duckdb.execute(
                f"COPY main TO '{path}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL {ZSTD_LEVEL}, ROW_GROUP_SIZE {ROW_GROUP})")
        elif engine == "pyarrow":
            pq.write_table(
                self.table, path, compression="zstd", compression_level=ZSTD_LEVEL, row_group_size=ROW_GROUP, data_page_size=PAGE_BYTES,
                use_dictionary=DICTIONARIES, dictionary_pagesize_limit=DICTIONARY_BYTES)
        else:
            raise SystemExit(f"no engine {engine}")
        sync(path)
        took = time.perf_counter() - began
        return {"seconds": took, "rows": pq.read_metadata(path).num_rows, "bytes": os.path.getsize(path)}

    def batches(self, columns, files):
        return self.duckdb.execute(f"SELECT {COLUMNS[columns]} FROM {listed(files)}").to_arrow_reader(8192)

    def scan(self, columns, files):
        began = time.perf_counter()
        rows = sum(batch.num_rows for batch in self.batches(columns, files))
        return {"seconds": time.perf_counter() - began, "rows": rows}

    def sums(self, files):
        return {"sums": [str(value) for value in self.duckdb.execute(f"{SUMS} FROM {listed(files)}").fetchone()]}

    def scan_sums(self, columns, files):
        """Bytes of the two texts, the sum of the times, and the sum of the values or the bytes of the item ids, modulo 2^64."""
        sums = [0, 0, 0]
        for batch in self.batches(columns, files):
            last = batch.column(3)
            if columns == "nested":
                last = pc.binary_length(last.flatten())
            sums[0] += pc.sum(pc.binary_length(batch.column(0))).as_py() + pc.sum(pc.binary_length(batch.column(1))).as_py()
            sums[1] += pc.sum(batch.column(2).cast(pa.timestamp("us", "UTC")).cast(pa.int64())).as_py()
            sums[2] += round(100 * (pc.sum(last).as_py() or 0))
        return {"sums": [str(value % 2**64) for value in sums]}


def main():
    rivals = Rivals()
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(getattr(rivals, request.pop("do"))(**request)), flush=True)


if __name__ == "__main__":
    main()
