#!/usr/bin/env python3
"""Writes template.jsonl: templates, the values of their fields, and the text that
Python 3.11 on the GNU C library makes of them. One case per line:

    {"template": "{v:>5}", "v": ["int", "42"], "text": "   42"}

"w" is a second field, "zone" the time zone (UTC if absent), and a case without
"text" is one that Python refuses.

    python3.11 template.py [COUNT [SEED]] > template.jsonl
"""
import json
import os
import random
import sys
import time
from datetime import datetime

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
RANDOM = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)

ZONES = ["UTC", "Europe/Paris", "America/St_Johns", "Asia/Kolkata", "Pacific/Auckland"]
INTS = [0, 1, -1, 7, 42, -42, 65, 255, 999, 1000, 1234, 8364, -1234567, 0x1F600, 0x110000, 10**15, 2**63 - 1, -2**63]
FLOATS = [0.0, -0.0, 1.0, -1.5, 0.1, 2.5, 0.5, 3.14159265, 1e-5, 1e-4, 0.00012345, 9.9999e-5, 99.95, 100.0, 999999.5,
          123456.789, -1234567.891, 1e15, 1e16, 123456789012345680.0, 1e20, 1e22, 1e23, 1.5e300, -5e-324, -0.001,
          float("inf"), float("-inf"), float("nan")]
STRINGS = ["", "a", "hello", "größe", "日本語テキスト", "it's", 'say "hi"', "both ' and \"", "tab\tnl\nbs\\", "192.0.2.1",
           "\x00\x1b[31m\x7f\x85\xa0\xad\u200e\u2028\ue000", "😀\U000e0001", "e\u0301", "None", "{v}"]
TIMES = ["2026-11-22 08:01:01.000123", "2024-02-29 00:00:00", "2027-01-01 12:30:00", "1999-12-31 23:59:59.999999",
         "2026-01-04 13:05:09", "2021-01-03 00:07:00.5", "2020-12-31 11:59:59", "1970-01-01 00:00:00", "2026-07-05 18:00:00",
         "2400-03-01 01:02:03", "1901-12-14 20:45:52"]
CODES = "aAbBhcCdDeFfgGHIjklmMnprRsStTuUVwWxXyYP%"


def pick(*choices):
    return RANDOM.choice(choices)


def standard_spec():
    return (pick("", "", "", "<", ">", "^", "=", "*<", "0>", "é^", "_=", "0=", " <", "😀>", "{{>")
            + pick("", "", "", "", "+", "-", " ") + pick("", "", "", "z") + pick("", "", "", "#") + pick("", "", "0")
            + pick("", "", "1", "5", "8", "12", "13", "20", "21") + pick("", "", "", "", ",", "_")
            + pick("", "", "", ".0", ".1", ".2", ".3", ".6", ".17", ".20")
            + pick("", "", "", *"sbcdoxXeEfFgGn%"))


def time_spec():
    spec = ""
    for _ in range(RANDOM.randint(1, 4)):
        if RANDOM.random() < .6:
            spec += "%" + pick(*CODES, "z", "Z")
        else:  # with glibc's flags; Python renders %z, %Z and %f itself, without them
            flags = "".join(pick("-", "_", "0", "^", "#") for _ in range(RANDOM.randint(0, 2)))
            code = pick(*CODES.replace("f", "").replace("%", ""), "Q", "Ü")
            spec += "%" + flags + pick("", "", "2", "5", "12") + (pick("", "", "", "E", "O") if code != "a" else "") + code
        spec += pick("", "", " ", ":", "/", " à ", ">10")
    return spec


def value():
    kind = pick("int", "float", "string", "time")
    return kind, pick(*{"int": INTS, "float": FLOATS, "string": STRINGS, "time": TIMES}[kind])


def field(kind):
    conversion = pick("", "", "", "", "", "", "!r", "!s", "!a")
    times = .03 if conversion or kind != "time" else 1
    spec = time_spec() if RANDOM.random() < times else standard_spec()
    if times < 1:
        spec = pick(spec, spec, spec, "")
    return "{v" + conversion + (":" + spec if spec else pick("", ":")) + "}"


def emit(template, **fields):
    case, values = {"template": template}, {}
    zone = pick(*ZONES) if any(kind == "time" for kind, _ in fields.values()) else "UTC"
    if zone != "UTC":
        case["zone"] = zone
    os.environ["TZ"] = zone
    time.tzset()
    for name, (kind, v) in fields.items():
        shown = v if kind == "string" else repr(v)
        if kind == "time":
            v = datetime.fromisoformat(v.ljust(26, "0") if "." in v else v)
            shown = str(round(v.timestamp()) * 10**6 if not v.microsecond else int(v.timestamp() // 1) * 10**6 + v.microsecond)
            if "z" in template or "Z" in template:  # a Time knows its zone
                v = v.astimezone()
                if "!" in template or v.second == 0 and v.utcoffset().total_seconds() % 60:
                    return
        case[name], values[name] = [kind, shown], v
    try:
        case["text"] = template.format(**values)
    except (ValueError, OverflowError, TypeError):
        pass
    if any(0xD800 <= ord(c) < 0xE000 for c in case.get("text", "")):
        return
    print(json.dumps(case, ensure_ascii=False))


for _ in range(COUNT):
    v = value()
    emit(field(v[0]), v=v)
for v in [("string", s) for s in STRINGS] + [("time", t) for t in TIMES] + [("float", f) for f in FLOATS] + [("int", i) for i in INTS]:
    emit("{v}|{v!r}|{v!s:>8}|{v!a}|{{{v}}}", v=v)
for v, w, template in [
        (("string", "ab"), ("int", 5), "{v:>{w}}"), (("int", 42), ("string", "#x"), "{v:{w}}"), (("float", 2.5), ("int", 3), "{v:*^{w}0.{w}f}"),
        (("int", 42), ("string", ""), "{v:{w}}"), (("string", "x"), ("string", "d"), "{v:{w}}"), (("string", "ab"), ("int", 5), "{v!r:>{w:02d}}"),
        (("time", TIMES[0]), ("string", "%H"), "{v:{w}:%M}"), (("int", 1), ("string", "%H"), "{v:{w}}"), (("string", "x"), ("string", "<5"), "{v:{{{w}}}"),
        (("string", "x"), ("string", "y"), "{v:{{<5}"), (("string", "x"), ("string", "*"), "{v:{w!s}<5}|{w}"), (("int", 1), ("int", 2), "{v:{w:{v}}}")]:
    emit(template, v=v, w=w)
for template in ["", "plain", "{{}}", "{{v}}", "{{{v}}}", "}}{{", "a } b", "a {", "}", "{", "{v", "{v!", "{v!r", "{v!x}", "{v!}", "{v!rx}", "{v:", "{v:{w}",
                 "{v:{{}", "a{v}b{v}c", "{v:}", "{v!s:}", "{{v}", "{v}}", "{v{w}}", "{v:>5}}", "{v:%}", "{v:%H%}"]:
    emit(template, v=("string", "x"), w=("int", 1))
for template in ["{v:%}", "{v:%H%}", "{v:.0%}", "{v:>30}", "{v:%%}", "{v:5%%}", "{v:%^9d}", "{v:50%H}", "{v:%-}", "{v:%5}"]:
    emit(template, v=("time", TIMES[0]))
