"""Texts of YAML and JSON: a table that looks into every corner of scalars, and any number of generated ones."""

import random

# As values, written behind "a: ".
_SCALARS = """
yes Yes YES yEs no No NO y Y n N on On ON off Off OFF true True TRUE tRue false False FALSE
~ null Null NULL nUll none None nil
0 1 -1 +1 00 -00 010 0777 08 09 -010 +010 0o10 0O17 0o 0o8 -0o7 0x1F 0X1f 0x 0xg -0x1F 0b11 0B11 0b2 0b -0b11 +0b11
1_000 1__0 _1 +_1 1_ 0x_1F 0b_11 1_0.5_0 0_1 12e03 08e1 1e1 1E5 1e+2 1e-2 1e 1e+ 1e1.5 e1
3.0 1.5 .5 +.5 -.5 5. 5.e1 . .. .e5 .5e3 .5_0 ._5 .5__0 .5_ 0.1 0.000001 0.0000001 1e-7 1e15 1e21 1e22 -1e21 1.5e300 1e400 -1e400
.5e400 .5e-400 1e-400 0.0 -0.0 -0 +0 100000000000000000000 123456789012345678e0 0x1p3 1.2.3 1:30 12:30:45 190:20:30.15
9007199254740991 9007199254740992 9007199254740993 9007199254740993.0 9223372036854774784.0 9223372036854775807
9223372036854775808 -9223372036854775808 -9223372036854775809 +9223372036854775808 18446744073709551615 18446744073709551616
0xffffffffffffffff 0x10000000000000000 0b1111111111111111111111111111111111111111111111111111111111111111
.inf +.inf -.inf .Inf .INF inf .nan .NaN .NAN nan NaN
2026-01-01 2026-1-1 2026-02-30 2026-01-01T00:00:00Z 2026-1-1t1:2:3.5+01:00 2026 2026-13-01
= << < > ! & * - ? : , # % @ ` \\ | [ ] { } --- ... -- -a ?a :a a: a# a:b a::b http://x/y C:/out [:a] {:a:1} [a:b]
abc a.b a-b a_b a/b 1a a1 0a 1.a "" '' "x" 'x' "1" 'yes' "~"
""".split()

_VALUES = [
    "a b", "a #b", "a#b", "a: b", "- b", "? b", "a,b", "a, b", "[a, b", "[a, b]", "[a,b]", "[a b]", "[]", "{}", "[ ]", "{ }",
    "{a}", "{a, b}", "{a: }", "{a: b}", "{a: b, }", "[a, ]", "[,]", "{,}", "[a,, b]", "[a: b]", "[{a: b}, c: d]", "[a: b: c]",
    "{? a : b}", "{? a}", "[? a : b]", '{"a":1}', '{"a":1,\'b\':2,c:3}', '{"a": "b"}', "{a: 1,b: 2}", "{1: a}", "{yes: a}",
    "{1.0: a}", "{1e10: a}", "{0.1: a}", "{1234567.0: a}", "{010: a}", "{~: a}", "{null: a}", "{: a}", "{[x]: a}", "{{x: y}: a}",
    "{18446744073709551615: a}", "{2026-01-01: a}", "{.inf: a}", "{-0.0: a}", "{1e-5: a}", "{a: 1, 'a': 2}", "{1: a, '1': b}",
    "{u: http://x, v: a:b}", "[http://x]", "[x?y]", "{u: http://x?y=1}", "[x ? y]", "[?y]", "{x?: 1}", "['x?y']", "x?y", "x ?y", "[a\n]", "[a\n,b]", "[a,\n  b]", "{a: 1,\n b: 2}", "{\n a: 1}", "[\n]",
    "a\n  b", "a\n\n  b", "'a\n  b'", "'it''s'", '"a\\\n  b"', '"\\u00e9\\x41\\N\\_\\L\\P\\e\\0"', '"\\ud83d\\ude00"', '"\\U0001F600"',
    '"\\q"', '"\\/"', '"\\t\\n\\r\\"\\\\ \\a\\b\\v\\f"', '"a\tb"', "a\tb", "\ta", "a\t", "a \t#x", "'a' b", '"a" b', "'a", '"a', "a'b",
    "|\n  x\n  y", "|-\n  x", "|+\n  x\n\n", ">\n  x\n  y", ">-\n  x\n\n  y", "|2\n  x", "|2\n   x", "|1-\n  x", "|0\n  x", "|\n x\n  y\n",
    "|\n", "|", ">\n\n  x\n   y\n  z", "| # c\n  x", "|x\n  y", "|\n  x\n y", ">\n   x\n  y",
    "!!str", "!!str 3", "!!str ~", "!!str yes", "!!str 'x'", "!!str [a]", "!!int 3", "!!int '3'", "!!int 3.0", "!!int 0x10", "!!int yes",
    "!!int", "!!float 3", "!!float '.5'", "!!float x", "!!float 18446744073709551615", "!!bool yes", "!!bool 'no'", "!!bool 1",
    "!!null ''", "!!null ~", "!!null x", "!!null", "!!timestamp 2026-01-01", "!!timestamp '2026-1-2 3:4:5'", "!!timestamp x",
    "!!timestamp 2026-01-01T00:00:00Z", "!!timestamp 2026-01-01T24:00:00Z", "!!timestamp 2026-02-29", "!!timestamp 2024-02-29",
    "!!binary aGk=", "!!binary aGk", "!!binary '!!'", "!!binary |\n  aG\n  k=", "!!binary ''", "!!binary =", "!!merge x", "!!merge <<",
    "!!seq [a]", "!!seq {a: 1}", "!!map {a: 1}", "!!map [a]", "!!set {x}", "!!omap [a: 1]", "!!unknown 7", "!local 7", "!local",
    "!<tag:yaml.org,2002:int> '7'", "!<x> y", "!e!x y", "!!int &a 3", "&a !!str 3", "&a", "&a b", "&a [*a]", "*a", "&a & b", "!!str !!int 3",
    "2026-01-01 00:00:00", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.10 -5", "x\u2028y", "x\u0085y", "\u0085", "é", "😀", "\u00a0",
    "\ufeffx", "x\ufeff", "\x7f", "\x01", "\u0080", "\ufffe", "'\u2028'", "a\r\n  b", "a\rb",
]

_TEXTS = [
    "a: 1\na: 2", "a: 1\n'a': 2", "a: {b: 1, b: 2}", "- x", "x", "", "\n", "# x", "---", "---\n", "--- \n", "--- #x\na: 1", "--- a", "---a: 1",
    "---\n---\n", "a: 1\n---\n", "a: 1\n---\n---\n", "---\na: 1\n---", "# x\n---\na: 1", "a: 1\n---\nb: 2", "a: 1\n...", "a: 1\n...\n",
    "null\n---\na: 1", "~\n---\na: 1", "a: 1\n---\nnull", "%YAML 1.1\n---\na: 1", "%YAML 1.2\n---\na: 1", "%TAG ! !x\n---\na: 1", "%x\na: 1",
    "\ufeffa: 1", "\ufeff---\na: 1", "\ufeff{\"a\": 1}", "a:\n\t- x", "a:\n\tb: 1", "\ta: 1", "a:\tb", "a: \tb", "-\ta",
    "a:\n  - \tb", "a:\n- b\n- c", "a:\n  - b\n -c", "a:\n b\n", "a:\n  b: 1\n c: 2", "a: 1\n b: 2", "a:\n  - b: 1\n    c: 2\n  - d", "a: - b",
    "? a\n: b", "? a\n", "? [a]\n: b", "? |\n  a\n: b", "? a : b\n: c", "a : 1", "'a' : 1", "\"a\": 1", "\"a\":1", "a:1", "a:", ": a", ":", "? a: b\n: c",
    "y: 1", "yes: 1", "010: 1", "1.50: 1", "1e3: 1", "true: 1", "~: 1", ": 1", "[a]: 1", "{a: 1}: 2", "!!str 1: 2", "!!int '1': 2", "2026-01-01: 1", "*a : 1",
    "a: &x 1\nb: *x", "a: &x {c: 1}\nb: *x", "a: &x 1\n*x : 2", "a: *x", "a: &x 1\nb: &x 2\nc: *x", "a: &x [ &x b, *x ]\nc: *x", "a: &x {b: *x}", "&a a: &b b\n*b : *a",
    "a: &x {b: 1}\nc: {<<: *x}", "a: &x {b: 1}\nc: {<<: *x, b: 2}", "a: &x {b: 1}\nc: {b: 2, <<: *x}", "a: &x {b: 1}\nc: {<<: [*x, {b: 2, d: 3}]}",
    "a: &x {b: 1}\nc: {<<: *x, <<: {d: 1}}", "a: &x [b]\nc: {<<: *x}", "c: {<<: [1]}", "c: {<<: 1}", "c: {<<: }", "c: {<<: {b: 1}, b: 2, b: 3}", "c: {'<<': {b: 1}}",
    "c: {!!merge <<: {b: 1}}", "c: {<<: []}", "<<: {a: 1}\nb: 2", "a: &x {b: &y {c: 1}}\nd: {<<: *x, <<: *y}", "a: &x [{b: 1}]\nc: {<<: *x}", "- <<: {a: 1}", "c: {<<: &z {a: 1}, d: *z}",
    "a: &x 1\nb: &y *x", "a: !!str &x 1\nb: *x", "a: &x !!str\nb: *x",
    '{"a": 1}', ' \n {"a": 1}', '{"a": 3.0}', '{"a": 1E400}', '{"a": -0}', '{"a": -0.0}', '{"a": 1e2}', '{"a": 10000000000000000000000}', '{"a": 18446744073709551615}',
    '{"a": "\\/\\u00e9\\ud83d\\ude00"}', '{"a": "\t"}', '{"a": yes}', '{"a": "yes"}', '{"a": 010}', '{"a": .5}', '{"a": +1}', '{"a": 1,}', '{"a": [1,]}', '{"a": 1, "a": 2}', '{"a": null}',
    '{"a": 1} ', '{"a": 1}\n---\n', '{"a": 1}\n---\n{"b": 1}', '{"a": 1}{"b": 2}', '{"a": 1} x', '{"a": 1}\n...', '{a: 1}', '{"a": {"b": [1, {"c": true}]}}', '{"<<": {"a": 1}}', '{"a": "<<"}', '{"1": 2}', '{"a": 1 # x\n}', '{}', '[]', '[{"a": 1}]', '{"a"', '{', '{"a": "b\\', '{"a": 0x10}', '{"a": NaN}', '{"a": Infinity}', '{"~": 1}',
    "a: b\r\nc: d\r\n", "a: b\rc: d", "a: |\r\n  x\r\n  y\r\n", "a: 'b'\nc: \"d\"", "a: b # c\n# d\ne: f", "a:\n# x\n  b: 1", "a: [ # x\n b]", "a:\n  b:\n    c:\n      - d\n      -\n        - e\n", "a:\n-\n-\n", "a:\n- - b\n  - c\n", "a:\n- b: 1\n  c: 2\n", "a: >\n  b\n\n  c\n\n\nd: e", "a: \"b\n  c\n\n  d\"", "a: 'b\n---\nc'", "a: |\n  ---\n  b", "a: |\n---\nb", "a: {b: 1}}", "a: ]", "a: b]", "a: [b]]", "a: 'b''", "a: @b", "a: b@c", "a: %b", "a: b%", "a: `b", "a: !", "a: ! b", "a: ! 3", "a: &", "a: *", "a: |-2\n    b", "a: 0\n\n\n\nb: 1\n", "a: x: y", "a: x:y", "a:\n  x\n  y: z", "a: b: c: d", "a: [b: c, d]", "a: {b, c: d}", "a: {[b]: c}", "a: -", "a:\n  -", "a: -b", "-", "- - x", "? x", "!!map {a: 1}", "!!str a: 1", "&x a: 1", "a: 1 b: 2", "'a': 'b' 'c'", "a: \"b\" # c", "a: \"b\"# c", "a: [b]# c", "a: {b: c}#d",
]


def table():
    return [f"a: {each}" for each in _SCALARS + _VALUES] + _TEXTS


_WORDS = [each for each in _SCALARS if each != "!"] + ["a", "b", "spec", "uri", "x y", "x:y", "x #y", "é", "'q'", '"d"', "''", '"\\n"', "'it''s'"]
_KEYS = ["a", "b", "c", "d", "e", "f", "'g'", '"h"', "1", "2.5", "yes", "0x10", "k l", "m-n", "o.p", "? q\n", "é"]
_TAGS = ["!!str", "!!int", "!!float", "!!bool", "!!null", "!!binary", "!x", "!!map", "!!seq"]
_NOISE = list(" \n\t:,-?#&*!|>'\"%@`[]{}\\ab01._~<=+/") + ["\n  ", ": ", "- ", " #", "<<: ", "---\n", "...\n", "&x ", "*x", "\r\n", "\u2028"]


class _Writer:
    def __init__(self, rng):
        self.rng, self.anchors = rng, []

    def scalar(self):
        rng = self.rng
        if rng.random() < 0.05 and self.anchors:
            return "*" + rng.choice(self.anchors)
        text = rng.choice(_WORDS)
        if rng.random() < 0.08:
            text = f"{rng.choice(_TAGS)} {text}"
        return self.anchored(text)

    def anchored(self, text):
        if self.rng.random() < 0.06:
            name = self.rng.choice("stuv")
            self.anchors.append(name)
            return f"&{name} {text}"
        return text

    def flow(self, depth):
        rng = self.rng
        if depth == 0 or rng.random() < 0.4:
            return self.scalar()
        comma = rng.choice([", ", ",", " , ", ",\n   "])
        if rng.random() < 0.5:
            return self.anchored("[" + comma.join(self.flow(depth - 1) for _ in range(rng.randrange(4))) + "]")
        return self.anchored("{" + comma.join(self.pair(depth) for _ in range(rng.randrange(4))) + "}")

    def pair(self, depth):
        if self.rng.random() < 0.08 and self.anchors:
            return "<<: *" + self.rng.choice(self.anchors)
        return self.rng.choice(_KEYS[:-2]) + self.rng.choice([": ", ": ", ":", " : "]) + self.flow(depth - 1)

    def block(self, depth, indent):
        rng = self.rng
        pad, lines = " " * indent, []
        mapping = indent == 0 or rng.random() < 0.7
        for key in rng.sample(_KEYS, rng.randrange(1, 5)):
            start = pad + ("- " if not mapping else key + (":" if "\n" not in key else pad + ":") + " ")
            if mapping and rng.random() < 0.06 and self.anchors:
                start = pad + "<<: *" + rng.choice(self.anchors) + "\n" + start
            kind = rng.random()
            if depth and kind < 0.3:
                lines.append(start.rstrip(" ") + self.anchored("").rstrip(" ").rjust(0) + "\n" + self.block(depth - 1, indent + rng.choice([1, 2, 2, 4])))
            elif kind < 0.4:
                more = " " * (indent + 2)
                lines.append(start + rng.choice("|>") + rng.choice(["", "-", "+"]) + f"\n{more}one\n\n{more}two")
            elif kind < 0.7:
                lines.append(start + self.flow(2))
            else:
                lines.append(start + self.scalar())
            if rng.random() < 0.1:
                lines.append(rng.choice(["", pad + "# c", "#c"]))
        return "\n".join(lines)


def generated(seed, count):
    """`count` texts, a third of them damaged."""
    rng = random.Random(seed)
    for _ in range(count):
        text = _Writer(rng).block(rng.randrange(4), 0)
        if rng.random() < 0.1:
            text = rng.choice(["---\n", "# x\n", "\n", "%YAML 1.1\n---\n"]) + text
        if rng.random() < 0.1:
            text += rng.choice(["\n---\n", "\n", "\n---\n# x", "\n...\n"])
        if rng.random() < 0.33:
            for _ in range(rng.randrange(1, 4)):
                at = rng.randrange(len(text) + 1)
                text = text[:at] + rng.choice(["", rng.choice(_NOISE)]) + text[at + rng.randrange(3):]
        yield text
