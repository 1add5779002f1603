#!/usr/bin/env python3
"""Makes call_digest.json: calls and the digests they must have.

Written from the table in src/call/digest.rs alone, without a line of the library, so that the two check each other.
Needs nothing but Python:  python3 call_digest.py > call_digest.json
"""

import hashlib
import json
import posixpath

WORKSPACE = "/workspace"


def field(tag, data):
    return bytes([tag]) + len(data).to_bytes(4, "big") + data


def value(v):
    if isinstance(v, bool):
        return field(0x31, bytes([v]))
    if isinstance(v, int):
        return field(0x32, v.to_bytes(8, "big", signed=True))
    if isinstance(v, str):
        return field(0x33, v.encode())
    if isinstance(v, list):
        return field(0x34, b"".join(map(value, v)))
    return record(v)


def record(fields):
    names = sorted(fields, key=lambda name: name.encode())
    return field(0x35, b"".join(field(0x36, name.encode()) + value(fields[name]) for name in names))


def within(cwd):
    path = posixpath.normpath(posixpath.join(WORKSPACE, cwd))
    return "" if path == WORKSPACE else path.removeprefix(WORKSPACE + "/")


def handover(handed):
    out = field(0x50, handed["name"].encode())
    if "variable" in handed:
        out += field(0x51, handed["variable"].encode())
    return out + field(0x52, handed["lasts_ms"].to_bytes(8, "big")) + field(0x53, handed["hand"].encode())


def digest(call, handed=None):
    out = field(0x01, b"glassbreak.call.v1")
    if "exec" in call:
        run = call["exec"]
        out += field(0x02, b"exec") + field(0x10, run["argv"][0].encode())
        out += b"".join(field(0x11, word.encode()) for word in run["argv"])
        out += field(0x12, within(run.get("cwd", ".")).encode())
        for name in sorted(run.get("env", {})):
            out += field(0x13, name.encode()) + field(0x14, run["env"][name].encode())
        if "stdin" in run:
            out += field(0x15, hashlib.sha256(run["stdin"].encode()).digest())
        out += handover(handed) if handed else b""
    elif "tool" in call:
        tool = call["tool"]
        out += field(0x02, b"tool") + field(0x20, tool["name"].encode())
        out += field(0x21, record(tool.get("arguments", {})))
        out += handover(handed) if handed else b""
    else:
        to = call["connect"]
        out += field(0x02, b"connect") + field(0x40, to["host"].encode()) + field(0x41, to["port"].to_bytes(2, "big"))
    return hashlib.sha256(out).hexdigest()


NESTED = {
    "name": "web",
    "count": -1,
    "dry": True,
    "tags": ["a", "b", ["c", 7, False], {}],
    "where": {"zone": "eu-1", "rack": {"row": 9223372036854775807, "": "no name"}},
}

CALLS = [
    ("one word", {"exec": {"argv": ["ls"]}}),
    ("words, in order", {"exec": {"argv": ["kubectl", "-n", "web", "delete", "pod", "web-7d4b"]}}),
    ("the same words, cut elsewhere", {"exec": {"argv": ["kubectl", "-nweb", "delete", "pod", "web-7d4b"]}}),
    ("an empty word", {"exec": {"argv": ["printf", ""]}}),
    ("a folder, written plainly", {"exec": {"argv": ["ls"], "cwd": "src/app"}}),
    ("the same folder, written otherwise", {"exec": {"argv": ["ls"], "cwd": "/workspace/./lib/..//src/app/"}}),
    ("the workspace by its path", {"exec": {"argv": ["ls"], "cwd": "/workspace"}}),
    ("an environment, by name", {"exec": {"argv": ["date"], "env": {"TZ": "UTC", "LC_ALL": "C.UTF-8", "A_": ""}}}),
    ("empty input is not no input", {"exec": {"argv": ["ls"], "stdin": ""}}),
    ("all of it", {"exec": {"argv": ["psql", "-X"], "cwd": "db", "env": {"TZ": "UTC"}, "stdin": "select 1;\n"}}),
    ("letters beyond ASCII", {"exec": {"argv": ["cat", "Größe/漢字.txt", "🦀", "a\tb\nc"]}}),
    ("a tool without arguments", {"tool": {"name": "look"}}),
    ("a tool with an empty record", {"tool": {"name": "look", "arguments": {}}}),
    ("a tool with a text", {"tool": {"name": "restart_service", "arguments": {"name": "web"}}}),
    ("a text is not a number", {"tool": {"name": "t", "arguments": {"n": "1"}}}),
    ("a number is not a text", {"tool": {"name": "t", "arguments": {"n": 1}}}),
    ("true is not one", {"tool": {"name": "t", "arguments": {"n": True}}}),
    ("the lowest number", {"tool": {"name": "t", "arguments": {"n": -9223372036854775808}}}),
    ("arguments within arguments", {"tool": {"name": "mcp/server:tool", "arguments": NESTED}}),
    ("names in the order of their bytes", {"tool": {"name": "t", "arguments": {"é": 1, "z": 2, "Z": 3, "": 4}}}),
    ("a connection", {"connect": {"host": "example.org", "port": 443}}),
]

DEPLOY = {"tool": {"name": "deploy", "arguments": {"service": "web"}}}
HANDED = [
    ("a tool without a credential", DEPLOY, None),
    ("a tool that is handed a credential", DEPLOY, {"name": "deploys", "lasts_ms": 300000, "hand": "granted"}),
    ("for longer", DEPLOY, {"name": "deploys", "lasts_ms": 300001, "hand": "granted"}),
    ("also without people", DEPLOY, {"name": "deploys", "lasts_ms": 300000, "hand": "always"}),
    ("another credential", DEPLOY, {"name": "other", "lasts_ms": 300000, "hand": "granted"}),
    (
        "a program that is handed a credential",
        {"exec": {"argv": ["kubectl", "get", "pods"]}},
        {"name": "cluster", "variable": "KUBE_TOKEN", "lasts_ms": 120000, "hand": "always"},
    ),
]

if __name__ == "__main__":
    vectors = [{"name": name, "call": call, "digest": digest(call)} for name, call in CALLS]
    for name, call, handed in HANDED:
        more = {"handed": handed} if handed else {}
        vectors.append({"name": name, "call": call, **more, "digest": digest(call, handed)})
    print(json.dumps({"workspace": WORKSPACE, "vectors": vectors}, indent=1, ensure_ascii=False))
