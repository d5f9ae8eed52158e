"""The result of an experiment as JSON, by the lines of docs/experiments.md.

    python experiment.py PAGE [NAME=VALUE ...]

The page's block of Python runs as a user would paste it, but for its leading assignments, which take the values given here; it leaves
a pyarrow.Table in `result`.
"""
import contextlib
import json
import sys

from figures import block, with_values


def main():
    page, *given = sys.argv[1:]
    with open(page, encoding="utf-8") as f:
        code = with_values(block(f.read(), "What came of it"), dict(pair.split("=", 1) for pair in given))
    scope = {}
    with contextlib.redirect_stdout(sys.stderr):
        exec(compile(code, page, "exec"), scope)
    print(json.dumps(scope["result"].to_pylist()))


if __name__ == "__main__":
    main()
