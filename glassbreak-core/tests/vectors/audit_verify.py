#!/usr/bin/env python3
"""Verifies chains of a glassbreak audit log: audit_verify.py FILE.jsonl...  Exit status 0 when all are whole.

A line is a JSON object whose last key is `hash`. The record is the line without `,"hash":"<64 digits>"`, and
hash = SHA-256(02 || previous hash || length of the record, 8 bytes big-endian || record); the first previous is zeros.
"""
import hashlib, json, os, sys


def verify(path):
    log, head, seq, kind = os.path.basename(path).removesuffix(".jsonl"), bytes(32), 0, None
    with open(path, "rb") as file:
        for line in file:
            seq += 1
            if line[-76:-67] != b',"hash":"' or line[-3:] != b'"}\n':
                return f"line {seq}: cut or changed"
            record = line[:-76] + b"}"
            digest = hashlib.sha256(b"\x02" + head + len(record).to_bytes(8, "big") + record).digest()
            fields = json.loads(record)
            if digest.hex().encode() != line[-67:-3] or fields["prev"] != head.hex():
                return f"line {seq}: changed, or not in its place"
            if fields["seq"] != seq or fields["log"] != log:
                return f"line {seq}: removed, moved or of another log"
            head, kind = digest, fields["kind"]
    return "whole" if kind == "log.closed" else f"cut after {seq}, or still written"


results = {path: verify(path) for path in sys.argv[1:]}
for path, result in results.items():
    print(f"{path}: {result}")
sys.exit(any(result != "whole" for result in results.values()))
