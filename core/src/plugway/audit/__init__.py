"""The audit file: one JSON line for every request of a client, written before its answer goes out.

`docs/audit.md` has the guarantees and the schema. From the request inwards: `ledger` keeps the
answer back until the line is written, `entries` makes the line, `writer` is the thread that writes
many of them at once, `file` is the file; `reading` reads it.
"""

from plugway.audit.reading import read_audit

__all__ = ["read_audit"]
