#!/usr/bin/env python3
"""Writes random regular expressions, subjects and what Python's re makes of them.

usage: regexp.py SEED COUNT > regexp.json

Each line is a JSON list: pattern, subject, groups. groups is null where there is no
match, otherwise the list of the captured texts (null: took no part). Names of groups are
not listed: they are tested elsewhere. Needs Python 3.11, the first with possessive quantifiers.

Left out, because Pyruse differs from Python there on purpose: \\B in the empty text (like
Perl, and Python from 3.14 on), and repetitions of what can match the empty text (see type pattern)
where nothing else in the pattern asks for the backtracking engine.
"""

import json
import random
import re
import re._constants as sre
import re._parser as sre_parser
import signal
import sys
import warnings

warnings.simplefilter("ignore")

LETTERS = "abkisA0 9_-.é\u212aßıμ\u0661\u00a0\x1c\n:中"
SPECIAL = [r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", ".", r"\.", r"\x41", r"\n", r"\u00e9", r"\-"]
CLASSES = ["[ab]", "[^a]", r"[\w-]", r"[^\W\d]", r"[a-k]", r"[^\s:]", r"[\d.]", "[é-μ]", r"[]a]", r"[^]a]", "[A-Z]", r"[\S\n]"]
ASSERTS = ["^", "$", r"\b", r"\B", r"\A", r"\Z"]
QUANTIFIERS = ["*", "+", "?", "{2}", "{1,2}", "{,2}", "{1,}", "*?", "+?", "??", "{1,2}?"]
POSSESSIVE = ["*+", "++", "?+", "{1,2}+"]


class Pattern:
    """One random pattern."""

    def __init__(self, rnd, backtracking):
        self.rnd = rnd
        self.backtracking = backtracking
        self.groups = 0
        self.closed = []
        self.text = self.alternatives(3)
        flags = "".join(f for f in "imsa" if rnd.random() < 0.12)
        if flags:
            self.text = "(?%s)%s" % (flags, self.text)

    def alternatives(self, depth):
        count = self.rnd.choice([1, 1, 1, 2, 3]) if depth else 1
        return "|".join(self.sequence(depth) for _ in range(count))

    def sequence(self, depth):
        return "".join(self.element(depth) for _ in range(self.rnd.choice([0, 1, 2, 2, 3, 4])))

    def element(self, depth):
        if self.rnd.random() < 0.12:
            return self.rnd.choice(ASSERTS)
        atom = self.atom(depth)
        if self.rnd.random() < 0.35:
            atom += self.rnd.choice(POSSESSIVE if self.backtracking and self.rnd.random() < 0.3 else QUANTIFIERS)
        return atom

    def atom(self, depth):
        roll = self.rnd.random()
        if depth and roll < 0.25:
            return self.group(depth - 1)
        if roll < 0.45:
            return self.rnd.choice(SPECIAL)
        if roll < 0.6:
            return self.rnd.choice(CLASSES)
        if self.backtracking and self.closed and roll < 0.7:
            number = self.rnd.choice(self.closed)
            form = self.rnd.choice(["\\%d", "\\%d", "(?i:\\%d)", "(?(%d)a|b)"])
            return "(?:" + form % number + ")"
        return re.escape(self.rnd.choice(LETTERS))

    def group(self, depth):
        kinds = ["capture", "capture", "named", "(?:", "(?i:"]
        if self.backtracking:
            kinds += ["(?=", "(?!", "(?<=", "(?<!", "(?>"]
        kind = self.rnd.choice(kinds)
        if kind in ("capture", "named"):
            self.groups += 1
            number = self.groups
            start = "(" if kind == "capture" else "(?P<g%d>" % number
            text = start + self.alternatives(depth) + ")"
            self.closed.append(number)
            return text
        if kind in ("(?<=", "(?<!"):
            return kind + "".join(self.rnd.choice(CLASSES + SPECIAL) for _ in range(self.rnd.randint(0, 2))) + ")"
        return kind + self.alternatives(depth) + ")"


def repeats_empty(parsed):
    """Reports whether something that can match the empty text is repeated."""
    for op, arg in parsed:
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            if arg[1] > 1 and arg[2].getwidth()[0] == 0:
                return True
        args = arg if isinstance(arg, tuple) else (arg,)
        for part in args:
            parts = part if isinstance(part, list) else [part]
            if any(isinstance(x, sre_parser.SubPattern) and repeats_empty(x) for x in parts):
                return True
    return False


def subject(rnd):
    alphabet = LETTERS if rnd.random() < 0.5 else "abkisA0 9_-.:\n"
    text = "".join(rnd.choice(alphabet) for _ in range(rnd.randint(0, 9)))
    return text + "\n" if rnd.random() < 0.15 else text


def main():
    rnd = random.Random(int(sys.argv[1]))
    left = int(sys.argv[2])

    def give_up(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, give_up)
    while left > 0:
        backtracking = rnd.random() < 0.5
        pattern = Pattern(rnd, backtracking).text
        if backtracking and rnd.random() < 0.5:
            pattern += "(?=)"
        try:
            compiled = re.compile(pattern)
        except re.error:
            continue
        if repeats_empty(sre_parser.parse(pattern)) and not pattern.endswith("(?=)"):
            continue
        tried = 0
        hits = 0
        for _ in range(12):
            text = subject(rnd)
            signal.setitimer(signal.ITIMER_REAL, 1)
            try:
                match = compiled.search(text)
            except TimeoutError:
                continue
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            if "\\B" in pattern and not text or match is None and tried - hits >= 1:
                continue
            tried += 1
            hits += match is not None
            print(json.dumps([pattern, text, match and list(match.groups())]))
            left -= 1
            if tried == 4:
                break


main()
