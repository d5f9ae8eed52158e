"""Figures of tables as one JSON object, so that what different engines read can be compared.

    python figures.py PAGE ENGINE [NAME=VALUE ...]

PAGE is docs/readers.md. The block of Python below its heading ENGINE runs as a user would paste it, but for its leading
assignments, which take the values given here; it leaves a pyarrow.Table in `events`, one in `exposures` and one in `items`.

The figures: rows; for every flat numeric column its sum (floats: correctly rounded, as IEEE bits); and the sum modulo
2^64 of a hash of every row, which no order changes. readers_test.go computes the same without any of this.
"""
import hashlib
import json
import math
import re
import struct
import sys

import pyarrow as pa


def block(page, engine):
    section = re.search(rf"^## {re.escape(engine)}\n(.*?)(?=^## |\Z)", page, re.M | re.S)
    return re.search(r"^```python\n(.*?)^```", section.group(1), re.M | re.S).group(1)


def with_values(code, values):
    for name, value in values.items():
        code, found = re.subn(rf"^{name} = .*$", lambda _: f"{name} = {value!r}", code, flags=re.M)
        if found != 1:
            raise SystemExit(f"the block assigns {name} {found} times, not once")
    return code


def is_text(kind):
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def is_list(kind):
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def is_pairs(kind):  # an engine without maps shows one as a list of pairs
    return is_list(kind) and pa.types.is_struct(kind.value_type) and {f.name for f in kind.value_type} == {"key", "value"}


def bits(number):
    return struct.pack(">d", number).hex().encode()


def text(value, kind):
    """The one spelling of a value. Timestamps come as microseconds (see plain)."""
    if value is None:
        return b"n"
    if pa.types.is_struct(kind):
        fields = sorted(kind, key=lambda f: f.name)
        return b"(" + b"".join(f.name.encode() + b"=" + text(value[f.name], f.type) for f in fields) + b")"
    if pa.types.is_map(kind):
        pairs = sorted(text(k, kind.key_type) + text(v, kind.item_type) for k, v in value)
        return b"{" + b"".join(pairs) + b"}"
    if is_pairs(kind):
        key, item = (kind.value_type.field(n).type for n in ("key", "value"))
        return b"{" + b"".join(sorted(text(p["key"], key) + text(p["value"], item) for p in value)) + b"}"
    if is_list(kind):
        return b"[" + b"".join(text(v, kind.value_type) for v in value) + b"]"
    if is_text(kind):
        data = value.encode()
        return b"s%d:%s" % (len(data), data)
    if pa.types.is_boolean(kind):
        return b"t" if value else b"f"
    if pa.types.is_timestamp(kind):
        return b"u%d" % value
    if pa.types.is_integer(kind):
        return b"i%d" % value
    if pa.types.is_float64(kind):
        return b"d" + bits(value)
    raise SystemExit(f"no spelling for a value of type {kind}")


def plain(column, kind):
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            raise SystemExit("a timestamp came without its time zone")
        column = column.cast(pa.timestamp("us", kind.tz)).cast(pa.int64())
    return column.to_pylist()


def figures(table):
    fields = sorted(table.schema, key=lambda f: f.name)
    columns = [plain(table.column(f.name), f.type) for f in fields]
    sums = {}
    for field, values in zip(fields, columns):
        present = [v for v in values if v is not None]
        if pa.types.is_integer(field.type):
            sums[field.name] = str(sum(present))
        elif pa.types.is_float64(field.type):
            sums[field.name] = bits(math.fsum(present)).decode()
    total = 0
    for row in zip(*columns):
        spelled = b"".join(f.name.encode() + b"=" + text(v, f.type) for f, v in zip(fields, row))
        total += int.from_bytes(hashlib.sha256(spelled).digest()[:8], "big")
    return {"rows": table.num_rows, "sums": sums, "hash": f"{total % 2**64:016x}"}


def main():
    page, engine, *given = sys.argv[1:]
    with open(page, encoding="utf-8") as f:
        code = with_values(block(f.read(), engine), dict(pair.split("=", 1) for pair in given))
    scope = {}
    exec(compile(code, f"{page}: {engine}", "exec"), scope)
    print(json.dumps({name: figures(scope[name]) for name in ("events", "exposures", "items")}))


if __name__ == "__main__":
    main()
