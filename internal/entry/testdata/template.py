#!/usr/bin/env python3
"""Writes template.jsonl: format specs, values, and what Python's format() makes of them.

Run it as: TZ=UTC python3 template.py > template.jsonl
"""
import datetime
import itertools
import json
import random

random.seed(1)
INTS = [0, 1, -1, 7, 42, -42, 255, 1234, -1234567, 9223372036854775807, -9223372036854775808]
FLOATS = [0.0, -0.0, 1.0, -1.5, 0.1, 2.5, 3.14159265, 1e-5, 1e16, 1.5e300, 123456.789, 999999.5, 1e22, 100.0, 0.00012345, float("inf"), float("-inf"), float("nan")]
STRINGS = ["", "a", "hello", "größe", "日本語テキスト", "it's", 'say "hi"', "both ' and \"", "tab\tnl\nbs\\", "\x00\x1b[31m\u200e\u2028", "😀"]
ALIGN = ["", "<", ">", "^", "=", "*<", "0>", "é^", "_=", "0="]
SIGN = ["", "+", "-", " "]
ALT = ["", "#", "z"]
ZERO = ["", "0"]
WIDTH = ["", "1", "5", "8", "12", "20"]
GROUP = ["", ",", "_"]
PREC = ["", ".0", ".1", ".3", ".6", ".20"]
TYPES = ["", "s", "b", "c", "d", "e", "E", "f", "F", "g", "G", "n", "o", "x", "X", "%"]
CODES = ["%H:%M", "%Y-%m-%d %H:%M:%S", "%f", "%a %A %b %B %d", "%j %U %W %V %G %g %u %w", "%p %I %l %k", "%y %C %e",
         "%D %F %T %R %r", "%c", "%x %X", "%s", "100%%", "%n%t%h", "%Z|%z", "[%d/%b/%Y:%H:%M:%S]"]
TIMES = [datetime.datetime(2026, 11, 22, 8, 1, 1, 123), datetime.datetime(2024, 2, 29, 0, 0, 0), datetime.datetime(2027, 1, 1, 12, 30),
         datetime.datetime(1999, 12, 31, 23, 59, 59, 999999), datetime.datetime(2026, 1, 4, 13, 5, 9)]


def emit(kind, value, spec, shown=None):
    try:
        text, error = format(value, spec), False
    except (ValueError, OverflowError):
        text, error = "", True
    print(json.dumps({"kind": kind, "value": shown if shown is not None else value, "spec": spec, "text": text, "error": error}))


def spec():
    pick = random.choice
    return (pick(ALIGN) + pick(SIGN) + pick(ALT) + pick(ZERO) + pick(WIDTH) + pick(GROUP if random.random() < .4 else [""])
            + pick(PREC if random.random() < .6 else [""]) + pick(TYPES))


for _ in range(700):
    emit("int", random.choice(INTS), spec())
for _ in range(900):
    v = random.choice(FLOATS)
    emit("float", v, spec(), repr(v))
for _ in range(300):
    emit("string", random.choice(STRINGS), spec())
for v, c in itertools.product(TIMES, CODES):
    usec = int(v.replace(tzinfo=datetime.timezone.utc).timestamp()) * 1000000 + v.microsecond
    if "%Z" in c or "%s" in c:
        v = v.replace(tzinfo=datetime.timezone.utc)
    emit("time", v, c, usec)
for v in STRINGS:
    for conversion, f in (("r", repr), ("a", ascii), ("s", str)):
        print(json.dumps({"kind": "string", "value": v, "spec": "!" + conversion, "text": f(v), "error": False}))
for v in TIMES:
    usec = int(v.replace(tzinfo=datetime.timezone.utc).timestamp()) * 1000000 + v.microsecond
    print(json.dumps({"kind": "time", "value": usec, "spec": "!r", "text": repr(v), "error": False}))
    print(json.dumps({"kind": "time", "value": usec, "spec": "", "text": str(v), "error": False}))
