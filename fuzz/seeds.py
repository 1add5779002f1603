#!/usr/bin/env python3
"""Makes the seed corpora: python3 seeds.py. Small on purpose; the fuzzer finds the rest."""

import pathlib
import random

HERE = pathlib.Path(__file__).parent / "corpus"
# The first byte and the second choose program and source of words, see `words_as_they_are` in the testkit.
COMMANDS = [
    "get\npods\n-n\nweb", "delete\npod\nweb-1", "--unknown\ndelete\nnamespace\nprod", "logs\n-nweb\nweb-1\n--tail=5",
    "get\n--\npods", "--kubeconfig=x\nget\npods", "get\n-o\njsonpath={.items}", "log\n--oneline\n-3",
    "-c\ncore.pager=sh\nlog", "diff\n--output=x", "status", "exec\nweb\n--\nsh",
]
FILES = [
    "schema = 1\nuse = [\"builtin:kubectl-readonly\"]\n", "unlisted = \"ask\"\n[ask]\ngroup = \"oncall\"\n",
    "[groups.oncall]\n[persons.alice]\ngroups = [\"oncall\"]\n", "[tools.look]\nlabels = []\n",
    "schema = 1\n[[budget]]\nid = \"b\"\n", "[{\"uid\":{\"type\":\"Role\",\"id\":\"a\"},\"attrs\":{},\"parents\":[]}]",
    "@id(\"a\") permit (principal, action, resource);", "entity Widget = { weight: Long };",
    "{\"safeBins\":{\"kubectl\":{\"allowedValueFlags\":[\"-n\"]}}}", "[[case]]\nname = \"x\"\n", "(" * 200, "\x00",
]
# A byte 0 is a file in TOML, 1 one in JSON.
PROFILES = [
    "schema = 1\nuse = [\"builtin:cat-readonly\"]\n",
    "schema = 1\n[profiles.a]\nroot.verdict = \"allow\"\nroot.options = [{ names = [\"-n\", \"--num\"], value = \"int\" }]\n"
    "root.forms = [{ operands = [{ type = \"path\", min = 0, max = 9 }] }]\nexamples.allow = [\"a -n 1 x\"]\n",
    "schema = 1\n[profiles.b]\ntypes.x = { any-of = [\"y\", \"int\"] }\ntypes.y = { pattern = \"[a-z]+\" }\nverbs.go.verdict = \"deny\"\n"
    "examples.deny = [\"b go\"]\n",
    "schema = 1\n[profiles.ls]\nextends = \"builtin:ls-readonly\"\nexamples.allow = [\"ls\"]\n",
    "schema = 1\n[profiles.w]\ndialect.order = \"options-first\"\nroot.forms = [{ operands = [{ type = \"command\" }] }]\nexamples.deny = [\"w sh\"]\n",
    "schema = 1\n[profiles.j]\ntypes.s = { script = \"awk\" }\ntypes.u.url = { schemes = [\"https\"] }\nexamples.ask = [\"j\"]\n",
]
JSONS = [
    '{"safeBins":{"mcporter":{"allowedValueFlags":["--config","--timeout"],"forbiddenFlags":["--force"]}}}',
    '{"safeBins":{"kubectl":{"extends":"builtin:kubectl-readonly","forbidden":"deny","restrictedCommands":["delete"]}}}',
    '{"schema":1,"use":["builtin:cat-readonly"],"profiles":{"a":{"aliases":["b"],"root":{"verdict":"allow","canonical":true,'
    '"options":[{"names":["-n"],"value":"int"}],"forms":[{"operands":[{"type":"text"}]}]},"examples":{"allow":["b -n 1 x"]}}}}',
]


def write(target, seeds):
    folder = HERE / target
    folder.mkdir(parents=True, exist_ok=True)
    for n, seed in enumerate(seeds):
        (folder / f"{n:02}").write_bytes(seed)


rng = random.Random(1)
write("argv_parse", [bytes([0, n % 2]) + text.encode() for n, text in enumerate(COMMANDS)])
LISTED = (
    '[tools.a]\nlabels = []\nschema = "tools.json"\nmap.p = { type = "string" }\n',
    '{"tools":[{"name":"a","inputSchema":{"type":"object","required":["n"],"properties":{"n":{"type":["integer","null"],'
    '"minimum":1},"p":{"type":"number"},"r":{"$ref":"#/$defs/R"}},"$defs":{"R":{"type":"object","properties":{"x":{"type":"string"}}}}}}]}',
)
# Two files: how many, then for each which name, how long (three bytes), and the bytes.
listed = b"".join(bytes([name, 1, len(text) >> 8, len(text) & 255]) + text.encode() for name, text in zip([4, 12], LISTED))
write("bundle_load", [bytes([0, 0, [2, 0, 1, 4, 5, 7, 8, 6, 3, 9, 8, 11][n], 0]) + text.encode() for n, text in enumerate(FILES)] + [bytes([0, 1]) + listed])
write("findings_never_widen", [bytes([n % 4]) + rng.randbytes(24 + 8 * n) for n in range(12)])
write("argv_forbidden_spellings", [bytes([n, n * 17 % 256, n % 5, n % 3, n % 2]) + text.encode() for n, text in enumerate(COMMANDS)])
write("profile_load", [b"\0" + text.encode() for text in PROFILES] + [b"\1" + text.encode() for text in JSONS])
write("policy_decide_vs_cedar", [bytes([n % 3]) + rng.randbytes(24 + 24 * n) for n in range(12)])
write("context_from_args", [rng.randbytes(16 + 16 * n) for n in range(12)])
