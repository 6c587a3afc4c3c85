"""Analysis files that must be refused, and odd ones that must run.

Most are a valid file with one text in the place of another, so that the line is known where the
mistake stands. ``@CANARY@`` in a text is a file that must not come to be.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.campaign.sandbox import Place
from tests.support.paths import DATA, REPOSITORY

BASES = {
    "tiny": DATA / "tiny",
    "tiny1": DATA / "tiny1",
    "tiny_systematics": DATA / "tiny_systematics",
    "wbf": REPOSITORY / "inputs/wbf",
    "estimators": REPOSITORY / "inputs/wbf-estimators",
    "madgraph": REPOSITORY / "inputs/wbf-madgraph",
    "smeft": REPOSITORY / "inputs/wh-smeft",
}
KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Case:
    """A file that ``write`` makes in a place, ``input.yml``, or whatever path it returns.

    ``lines`` are where the mistake is: of the key and of the value; none if it is not known.
    ``parses`` is whether a line can be known at all. One that ``may_run`` is refused, or it runs.
    """

    group: str
    name: str
    write: Callable[[Place], Path]
    lines: tuple[int, ...] = ()
    parses: bool = True
    may_run: bool = False


@dataclass(frozen=True)
class Spot:
    """Where a value is in the text of a base: characters, and the lines of its key and its own."""

    start: int
    end: int
    lines: tuple[int, int]
    value: Any
    key_start: int


@cache
def text_of(base: str) -> str:
    """The text of a base."""
    return (BASES[base] / "input.yml").read_text()


@cache
def spots(base: str) -> dict[KeyPath, Spot]:
    """All values of a base by their path."""
    found: dict[KeyPath, Spot] = {}

    def walk(node: yaml.Node, path: KeyPath, key: yaml.Mark) -> None:
        value = loader.construct_object(node, deep=True)
        start, end = node.start_mark, node.end_mark
        lines = key.line + 1, start.line + 1
        found[path] = Spot(start.index, end.index, lines, value, key.index)
        if isinstance(node, yaml.MappingNode):
            for name, inner in node.value:
                walk(inner, (*path, name.value), name.start_mark)
        elif isinstance(node, yaml.SequenceNode):
            for i, inner in enumerate(node.value):
                walk(inner, (*path, i), inner.start_mark)

    loader = yaml.SafeLoader(text_of(base))
    node = loader.get_single_node()
    assert node is not None
    walk(node, (), node.start_mark)
    return found


def at(base: str, dotted: str) -> KeyPath:
    """A path such as ``ml.methods.1.network``."""
    path = tuple(int(key) if key.isdigit() else key for key in dotted.split("."))
    assert path in spots(base), (base, dotted)
    return path


def replaced(base: str, path: KeyPath, new: str) -> str:
    """The text of a base with another text in the place of a value."""
    text, spot = text_of(base), spots(base)[path]
    old = text[spot.start : spot.end]
    # A block ends where the next key begins.
    return text[: spot.start] + new + old[len(old.rstrip()) :] + text[spot.end :]


def text_case(
    group: str, name: str, base: str, text: str | bytes, *lines: int, **more: Any
) -> Case:
    """A case with this text beside the cards of its base."""

    def write(place: Place) -> Path:
        add_cards(base, place.here)
        file = place.here / "input.yml"
        content = text
        file.write_bytes(
            place.armed(content).encode("utf-8", "surrogatepass")
            if isinstance(content, str)
            else content
        )
        return file

    return Case(group, name, write, lines, **more)


def add_cards(base: str, folder: Path) -> None:
    """Put the cards of a base into a folder, and what stands for its model."""
    for part in BASES[base].iterdir():
        if part.is_dir() and part.name != "models":
            (folder / part.name).symlink_to(part)
    if base == "smeft":
        model = folder / "models/SMEFTsim_U35_MwScheme_UFO"
        model.mkdir(parents=True)
        for name in ("__init__.py", "particles.py"):
            (model / name).write_text("")


def value_case(group: str, base: str, dotted: str, new: str, name: str = "", **more: Any) -> Case:
    """A base with another text in the place of a value, on whose line the mistake is then."""
    path = at(base, dotted)
    shown = name or "".join(c if c.isalnum() or c in "-+.=_" else "~" for c in new)[:40]
    text = replaced(base, path, new)
    return text_case(
        group, f"{base}:{dotted}={shown}", base, text, *spots(base)[path].lines, **more
    )


# What a value of some kind must not be.
WRONG = {
    bool: ["1", "'true'", "yes", "[true]", "null", "{a: 1}"],
    int: ["x", "'1'", "[1]", "{a: 1}", "true", "1.5", "1e999", "0x10", "-7", "1_0", "12:30"],
    float: [
        "x",
        "'1.0'",
        "[1.0]",
        "{a: 1}",
        "true",
        ".nan",
        ".inf",
        "-.inf",
        "1e999",
        "2001-01-01",
    ],
    str: ["1", "1.5", "[a]", "{a: b}", "true", "null", "!!binary aGVsbG8=", "!x y"],
    list: ["{}", "x", "1", "null", "true", "[[]]", "[null]", "[{}]", "!!set {a, b}"],
    dict: ["[]", "x", "1", "null", "true", "[[a, b]]", "{1: 2}", "{null: 1}", "{zzz: {}}"],
}
#: Places where one of these is right, by the last keys of the path.
ALLOWED = {
    "default": {"null"},
    "range": {"null"},
    "pt_resolution_abs": {"null"},
    "pt_resolution_rel": {"null"},
    "theta0": set(),
    "bins": set(),
    "particles": {"null"},
}
"""What may be null, by its key."""


def wrong_types() -> Iterator[Case]:
    """Every kind of place with every kind of wrong value, a share of them."""
    rng = random.Random(1)
    for base in BASES:
        known = {path: spot for path, spot in spots(base).items() if path}
        for path in sorted(rng.sample(sorted(known, key=repr), 30), key=repr):
            kind = type(known[path].value)
            if kind is type(None):
                continue
            wrong = [w for w in WRONG[kind] if w not in ALLOWED.get(str(path[-1]), ())]
            if kind is int and path[-2:-1] == ("bins",):
                wrong.remove("[1]")
            for new in rng.sample(wrong, 2):
                dotted = ".".join(map(str, path))
                yield value_case("type", base, dotted, new)


MAGNITUDES = {
    "tiny": {
        "seed": ["-1", "4294967296", "1e30", "99999999999999999999999"],
        "version": ["0", "2", "1e9"],
        "parameters.0.lha_id": ["-1", "9999999999999999999999"],
        "parameters.0.parameter_range": ["[1, -1]", "[0, 0]", "[0, 1e999]", "[1, 2, 3]", "[5, 6]"],
        "benchmarks.w.CWL2": ["1e999", "-1e308", "1e300", "21.0"],
        "morphing.max_overall_power": ["0", "-1", "11", "1000000000"],
        "morphing.n_trials": ["0", "1000000000000000"],
        "morphing.n_test_thetas": ["0", "1000000000000000"],
        "processes.0.events.sm": ["0", "-5", "1000000000000000", "1e15", "999999999999"],
        "detector.smearing.0.energy_resolution_rel": ["-0.1", "1e999"],
        "observables.0.range": ["[5, 1]", "[1, 1]", "[0]", "[-1e999, 0]"],
        "ml.test_split": ["0", "1", "-0.5", "1.5", "1e-300", "0.99999999999"],
        "ml.methods.0.bins.pt_j1": ["0", "-3", "1000000000", "[]", "[2, 1]", "[1, 1]", "[1e999]"],
        "ml.methods.1.n_samples": ["0", "-1", "1000000000000000", "1"],
        "ml.methods.1.network.n_hidden": [
            "[]",
            "[0]",
            "[-8]",
            "[1000000000000]",
            "[8, 1000000000]",
        ],
        "ml.methods.1.training.n_epochs": ["0", "-2", "1000000000000"],
        "ml.methods.1.training.batch_size": ["0", "-64"],
        "ml.methods.2.training.alpha": ["-0.1", "1e999"],
        "ml.methods.2.theta0.n_thetas": ["0", "-1", "1000000000000000"],
        "ml.methods.2.theta0.priors.CWL2": [
            "{prior: gaussian, mean: 0.0, std: 0.0}",
            "{prior: gaussian, mean: 0.0, std: -1.0}",
            "{prior: gaussian, mean: 0.0}",
            "{prior: gaussian, mean: 0.0, std: 1.0, min: 0.0}",
            "{prior: flat, min: 1.0, max: 1.0}",
            "{prior: flat, min: 2.0, max: -2.0}",
            "{prior: cauchy, mean: 0.0, std: 1.0}",
            "{mean: 0.0, std: 1.0}",
            "{prior: flat, min: -1e308, max: 1e308}",
        ],
        "ml.limits.grid.CWL2": [
            "{range: [2.0, -2.0], resolution: 5}",
            "{range: [0.0, 0.0], resolution: 5}",
            "{range: [-2.0, 2.0], resolution: 1}",
            "{range: [-2.0, 2.0], resolution: 0}",
            "{range: [-2.0, 2.0], resolution: 1000000000}",
            "{range: [-2.0, 2.0], resolution: 5.5}",
            "{range: [-1e308, 1e308], resolution: 5}",
            "{resolution: 5}",
            "[-2.0, 2.0]",
        ],
    },
    "tiny_systematics": {
        "systematics.1.norm_variation": ["0", "-1.1", "1e999"],
        "systematics.0.scale_variations": [
            "[]",
            "[1.0]",
            "[0.5, 0.5]",
            "[-1, 1]",
            "[0, 1]",
            "[1, 2, 3, 4]",
        ],
        "efficiencies.0.definition": ["'2.0'", "'-0.5'", "'1e300'"],
        "processes.1.events.sm": ["100000000000000", "0"],
    },
    "wbf": {
        "ml.luminosity": ["0", "-1", "1e999", "1e308"],
        "ml.methods.3.n_estimators": ["0", "-1", "1000000000", "2.5"],
        "ml.methods.2.training.initial_lr": ["0", "-0.1", "1e999"],
        "ml.limits.confidence_levels": ["[]", "[0.0]", "[1.0]", "[1.5]", "[0.68, 0.68]", "0.95"],
        "ml.limits.toys.n_toys": ["-1", "1000000000000"],
        "ml.limits.toys.resolution": ["1", "100000000"],
        "ml.limits.toys.njobs": ["0", "-4", "1000000000"],
        "ml.limits.grid.CWL2.resolution": ["1000000000"],
        "processes.0.run.ptj": ["-20.0", "1e308", "7000.0"],
        "processes.0.run.etaj": ["0.0", "-5.0"],
        "processes.0.run.drjj": ["-0.4", "1000.0"],
        "detector.met_noise.abs_": ["-1.0", "1e999"],
    },
    "estimators": {
        "ml.defaults.n_samples": ["0", "1000000000000000"],
        "ml.defaults.theta0.n_thetas": ["0", "1000000000000000"],
        "ml.methods.5.network.n_mades": ["0", "1000000000"],
        "ml.limits.grid.CWL2.range": ["[1]", "[1, 0]"],
    },
    "smeft": {
        "ml.limits.grid.cHW.resolution": ["100000", "1"],
        "processes.0.events.hw": ["-1", "1000000000000000"],
    },
}


def magnitudes() -> Iterator[Case]:
    """Numbers that no analysis has, or no machine."""
    for base, places in MAGNITUDES.items():
        for dotted, values in places.items():
            for new in values:
                yield value_case("magnitude", base, dotted, new)


def keys() -> Iterator[Case]:
    """Keys that are unknown, missing or given twice."""
    rng = random.Random(2)
    required = ["version", "name", "parameters", "benchmarks", "processes", "observables", "ml"]
    for key in required:
        data = yaml.safe_load(text_of("tiny"))
        del data[key]
        yield text_case("keys", f"no-{key}", "tiny", yaml.safe_dump(data, sort_keys=False))
    for base in BASES:
        inside = [p for p, s in spots(base).items() if p and isinstance(p[-1], str)]
        fixed = [p for p in inside if not {"benchmarks", "events", "priors", "grid"} & set(p[:-1])]
        fixed = [p for p in fixed if not {"bins", "published"} & set(p[:-1])]
        text = text_of(base)
        for path in rng.sample(sorted(fixed, key=repr), 5):
            spot, key = spots(base)[path], str(path[-1])
            line = text.count("\n", 0, spot.key_start) + 1
            shown = ".".join(map(str, path))
            new = text[: spot.key_start] + key + "x" + text[spot.key_start + len(key) :]
            yield text_case("keys", f"{base}:unknown-{shown}", base, new, line)
        for path in rng.sample(sorted(inside, key=repr), 3):
            spot, key = spots(base)[path], str(path[-1])
            shown = ".".join(map(str, path))
            if text[text.rfind("\n", 0, spot.key_start) + 1 : spot.key_start].strip(" -"):
                new = text[: spot.key_start] + f"{key}: 1, " + text[spot.key_start :]
            else:
                column = spot.key_start - text.rfind("\n", 0, spot.key_start) - 1
                new = text[: spot.key_start] + f"{key}: 1\n{' ' * column}" + text[spot.key_start :]
            yield text_case("keys", f"{base}:twice-{shown}", base, new)


def bomb(levels: int, width: int) -> str:
    """Aliases of aliases."""
    lines = ["a0: &a0 [x, x]"]
    for i in range(1, levels):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]")
    return "\n".join(lines) + "\n"


EXECUTE = "touch @CANARY@"
SYNTAX: dict[str, str] = {
    "empty": "",
    "blank": " \n\n",
    "comment": "# nothing\n",
    "document-end": "---\n...\n",
    "scalar": "hello\n",
    "number": "42\n",
    "list": "- 1\n- 2\n",
    "null": "null\n",
    "two-documents": "version: 1\n---\nversion: 1\n",
    "open-list": "version: [1\nname: x\n",
    "open-mapping": "version: {a: 1\n",
    "open-quote": "version: 1\nname: 'x\nseed: 1\n",
    "open-double-quote": 'version: 1\nname: "x\n',
    "tab": "version: 1\n\tname: x\n",
    "indentation": "version: 1\n  name: x\n",
    "dash": "-\n-\n-",
    "colons": "a: b: c: d\n",
    "stars": "*\n",
    "ampersand": "&\n",
    "unknown-alias": "version: *nobody\n",
    "cyclic": "version: &v [*v]\nname: x\n",
    "cyclic-mapping": "version: 1\nml: &m {methods: *m}\n",
    "merge": "version: 1\nbase: &b {a: 1}\nname: {<<: *b}\n",
    "merge-self": "&a {<<: *a}\n",
    "directive": "%YAML 9.9\n---\nversion: 1\n",
    "bad-directive": "%FOO bar\nversion: 1\n",
    "tag-directive": "%TAG ! tag:example.com,2000:\n---\nversion: !foo 1\n",
    "escape": 'name: "\\q"\n',
    "percent": "version: %\n",
    "at": "version: @x\n",
    "backquote": "version: `x\n",
    "question": "? [a, b]\n: c\n",
    "complex-key": "? {a: 1}\n: 2\n",
    "bad-int": "version: !!int abc\n",
    "bad-float": "version: !!float 1e\n",
    "bad-binary": "version: !!binary '***'\n",
    "bad-timestamp": "version: !!timestamp x\n",
    "omap": "version: !!omap [a: 1]\n",
    "python-object": f"version: !!python/object/apply:os.system ['{EXECUTE}']\n",
    "python-new": f"version: !!python/object/new:os.system ['{EXECUTE}']\n",
    "python-name": "version: !!python/name:os.system\n",
    "python-module": "version: !!python/module:os\n",
    "python-subprocess": f"v: !!python/object/apply:subprocess.run [['sh', '-c', '{EXECUTE}']]\n",
    "include": "version: !include /etc/passwd\n",
    "env": "version: ${HOME}\n",
    "jinja": "version: {{ 1 }}\n",
    "json-comment": '{"version": 1, // no\n "name": "x"}\n',
    "json-trailing": '{"version": 1, "name": "x",}}\n',
    "bomb": bomb(30, 10),
    "wide-bomb": bomb(4, 400),
    "bomb-in-place": bomb(12, 10) + "version: *a11\n",
    "deep-list": "[" * 20000,
    "deep-closed-list": "version: " + "[" * 3000 + "]" * 3000,
    "deep-mapping": "version: " + "{a: " * 3000 + "1" + "}" * 3000,
    "deep-block": "".join(f"{' ' * i}a:\n" for i in range(1500)),
    "many-keys": "".join(f"k{i}: 1\n" for i in range(30000)),
    "many-entries": "version: [" + "1," * 120000 + "]\n",
    "long-key": "k" * 200000 + ": 1\n",
    "long-value": "version: " + "9" * 200000 + "\n",
    "long-string": "version: '" + "x" * 2000000 + "'\n",
    "long-line-breaks": "version: |\n" + "  x\n" * 50000,
    "anchors": "".join(f"k{i}: &a{i} 1\n" for i in range(5000)),
    "control": "version: 1\nname: a\x07b\n",
    "nul": "version: 1\nname: a\x00b\n",
    "escape-sequence": "version: 1\nname: '\x1b[31m'\n",
    "next-line": "version: 1\x85name: 2\n",
    "noncharacter": "version: 1\nname: \ufffe\n",
    "surrogate": 'version: 1\nname: "\\ud800"\n',
    "right-to-left": "version: 1\nname: \u202etxt\n",
    "no-break": "version:\u00a01\n",
}


def syntax() -> Iterator[Case]:
    """What is no analysis, or no YAML, or too much of it."""
    for name, text in SYNTAX.items():
        yield text_case("syntax", name, "tiny", text, parses=False)
    rng = random.Random(3)
    for i in range(40):
        text = text_of("tiny")
        start = rng.randrange(len(text))
        damage = "".join(rng.choice("\t{}[]:&*!'\"|>%@`,#-?") for _ in range(rng.randint(1, 4)))
        damaged = text[:start] + damage + text[start + rng.randint(0, 9) :]
        # It may still be right, by chance.
        yield text_case("damaged-text", f"{i}", "tiny", damaged, parses=False, may_run=True)


def encodings() -> Iterator[Case]:
    """Texts in other encodings, or in none."""
    text = text_of("tiny").replace("name: tiny", "name: tiny\ntitle: Größe", 1)
    for name in ("latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7"):
        if name != "utf-7":
            yield text_case("encoding", name, "tiny", text.encode(name), parses=False)
    plain = text_of("tiny").encode()
    for name, data in {
        "invalid": plain.replace(b"name: tiny", b"name: \xff\xfe", 1),
        "truncated-utf8": plain.replace(b"name: tiny", b"name: \xe2\x82", 1),
        "overlong": plain.replace(b"name: tiny", b"name: \xc0\xaf", 1),
        "surrogate-bytes": plain.replace(b"name: tiny", b"name: \xed\xa0\x80", 1),
        "nul-bytes": plain.replace(b"name: tiny", b"name: t\x00ny", 1),
        "only-nul": b"\x00" * 4096,
        "random": random.Random(4).randbytes(4096),
        "gzip": b"\x1f\x8b\x08\x00" + plain,
        "elf": b"\x7fELF" + plain,
        "bom-in-the-middle": plain.replace(b"name: tiny", b"name: \xef\xbb\xbf", 1),
        "carriage-returns-only": plain.replace(b"version: 1", b"version: 3").replace(b"\n", b"\r"),
    }.items():
        yield text_case("encoding", name, "tiny", data, parses=False)


HOSTILE = [
    f"__import__('os').system('{EXECUTE}')",
    "open('@CANARY@', 'w')",
    f"eval(\"__import__('os').system('{EXECUTE}')\")",
    "().__class__.__bases__[0].__subclasses__()",
    "j[0].__class__",
    "j[0].pt.__class__.__mro__",
    "j.__len__()",
    "(lambda: 1)()",
    "[x for x in j]",
    "sum(x.pt for x in j)",
    "{1: 2}",
    "{1, 2}",
    "(1, 2)",
    "'text'",
    "f'{1}'",
    "b'x'",
    "...",
    "None",
    "1j",
    "(x := 1)",
    "yield 1",
    "await j",
    "j[0]",
    "j",
    "j[-1].pt",
    "j[0:1]",
    "j[1.5].pt",
    "j['a'].pt",
    "j[j].pt",
    "j[99999999999999999999999].pt",
    "j[0].unknown",
    "j[0].deltaphi()",
    "j[0].deltaphi(1)",
    "j[0].deltaphi(j[0], j[1])",
    "j[0].pt(1)",
    "sqrt()",
    "sqrt(1, 2)",
    "sqrt(x=1)",
    "sqrt(*j)",
    "max()",
    "max(1)",
    "unknown_name",
    "np.sqrt(1)",
    "math.pi",
    "os.system",
    "print(1)",
    "exit()",
    "9**9**9**9",
    "10**400",
    "1 << 99999999",
    "9" * 5000,
    "1" * 200 + "." + "1" * 300,
    "(" * 120 + "1" + ")" * 120,
    "(" * 60 + "1",
    "-" * 250 + "1",
    "not " * 60 + "1",
    "1 if" + " 1 else 1 if" * 20,
    "j[0].pt +",
    "j[0].pt j[1].pt",
    "j[0]..pt",
    "import os",
    "pass",
    "1; 2",
    "x = 1",
    "#",
    " ",
    "\\",
    "j[0].pt # comment",
    "j[0].pt @ j[1].pt",
    "j[0].pt & 1",
    "~1",
    "j[0] in j",
    "j[0] is j[0]",
    "ј[0].pt",
    "ｊ[0].pt",
    "j[0].pt\u200b",
    "j[0].рt",
    "∑",
    "1/0",
    "1%0",
    "1//0",
    "0**-1",
    "sqrt(-1)",
    "log(0)",
    "1e999",
    "1e999 - 1e999",
    "nan",
    "inf",
    "float('nan')",
    "$(touch @CANARY@)",
    "`touch @CANARY@`",
    "; touch @CANARY@",
    "{output}",
    "%s%s%s%n",
    "j[0].pt > 1 > ",
    "pt_j1",
]
#: What means something: the number 1 in a roundabout way, and, as an observable, its default.
CONSTANT = {"(" * 120 + "1" + ")" * 120, "not " * 60 + "1"}
UNDEFINED = {
    *("j[-1].pt", "10**400", "1/0", "1%0", "1//0", "0**-1", "sqrt(-1)", "log(0)", "9**9**9**9"),
    *("1e999", "1e999 - 1e999"),
}
#: Where expressions stand, and those of the list that mean something there.
EXPRESSIONS = {
    "observables.1.definition": set(),
    "cuts.0.definition": {"pt_j1"},
    "parameters.0.param_card_transform": set(),
}


def quoted(text: str) -> str:
    """A text in YAML."""
    return yaml.safe_dump(text, default_style='"', width=10**9, allow_unicode=True).strip()


def expressions() -> Iterator[Case]:
    """Hostile, wrong or senseless expressions."""
    rng = random.Random(5)
    for dotted, valid in EXPRESSIONS.items():
        chosen = HOSTILE if dotted.startswith("obs") else rng.sample(HOSTILE, 40)
        for i, text in enumerate(chosen):
            if text not in valid:
                new = quoted(text)
                runs = text in CONSTANT or (text in UNDEFINED and dotted.startswith("obs"))
                name = f"{i}-{new[1:25]}"
                yield value_case("expression", "tiny", dotted, new, name, may_run=runs)
    for i, text in enumerate(rng.sample(HOSTILE, 25)):
        if text not in ("pt_j1",):
            dotted = "efficiencies.0.definition"
            yield value_case("expression", "tiny_systematics", dotted, quoted(text), f"{i}")


NAMES = [
    *[
        "",
        " ",
        ".",
        "..",
        "../x",
        "/abs",
        "a/b",
        "a b",
        "a'b",
        'a"b',
        "a;b",
        "a$b",
        "$(touch @CANARY@)",
    ],
    *[
        "`touch @CANARY@`",
        "a\nb",
        "a\tb",
        "é",
        "名",
        "a\u200b",
        "{workdir}",
        "*",
        "a,b",
        "a=b",
        "a:b",
    ],
    *["\x1b[31m", "a\\b", "#x", "-->", "<script>", "%s", "a" * 300],
]


def names() -> Iterator[Case]:
    """Names that are no names."""
    rng = random.Random(6)
    for dotted in (
        *("name", "parameters.0.parameter_name", "processes.0.name", "observables.1.name"),
        *("ml.methods.1.name",),
    ):
        for i, name in enumerate(rng.sample(NAMES, 10)):
            if name == "a" * 300 and dotted != "observables.1.name":
                continue
            yield value_case("name", "tiny", dotted, quoted(name), f"{i}-{quoted(name)[1:12]}")
    for dotted, new in (
        ("ml.methods.1.name", "counts"),
        ("observables.1.name", "pt_j1"),
        ("parameters.1.parameter_name", "CWL2"),
        ("parameters.1.lha_id", "2"),
        ("processes.0.process", "zzz"),
        ("processes.0.generator", "herwig"),
        ("processes.0.events", "{nobody: 5}"),
        ("processes.0.events", "{}"),
        ("benchmarks.w", "{CWL2: 1.0}"),
        ("benchmarks.w", "{CWL2: 1.0, CPWL2: 1.0, other: 1.0}"),
        ("benchmarks.w", "{CWL2: 0.0, CPWL2: 0.0}"),
        ("benchmarks", "{}"),
        ("benchmarks", "{'': {CWL2: 0.0, CPWL2: 0.0}}"),
        ("benchmarks", "{a b: {CWL2: 0.0, CPWL2: 0.0}}"),
        ("observables.1.default", ".nan"),
        ("ml.methods.1.method", "magic"),
        ("ml.methods.1.method", "histogram"),
        ("ml.methods.0.observables", "[nothing]"),
        ("ml.methods.0.observables", "[pt_j1, pt_j1]"),
        ("ml.methods.0.bins", "{deta_jj: 3}"),
        ("ml.methods.2.features", "[nothing]"),
        ("ml.methods.2.features", "[]"),
        ("ml.methods.2.theta0.priors", "{CWL2: {prior: flat, min: 0.0, max: 1.0}}"),
        ("ml.methods.2.theta0.priors", "{}"),
        ("ml.limits.grid", "{CWL2: {range: [-1.0, 1.0]}}"),
        ("ml.limits.grid", "{}"),
        ("ml", "{methods: [], limits: {grid: {}}}"),
        ("ml.methods", "[]"),
        ("processes", "[]"),
        ("parameters", "[]"),
        ("observables", "[]"),
    ):
        yield value_case("meaning", "tiny", dotted, new)
    for dotted, new in (
        ("systematics.0.systematic_name", "lumi"),
        ("systematics.0.effect", "weather"),
        ("systematics.0.scale", "muq"),
        ("systematics.1", "{systematic_name: p, effect: pdf}"),
        ("systematics.1", "{systematic_name: p, effect: pdf, pdf_variation: x, pdf_members: 0}"),
        ("systematics.1", "{systematic_name: lumi, effect: norm, scale: mu}"),
        ("processes.1.systematics", "[nobody]"),
        ("processes.1.systematics", "[scale, scale]"),
        ("processes.1.is_background", "null"),
        ("systematics.0.scale_variations", "[0.5, 0.7]"),
    ):
        yield value_case("meaning", "tiny_systematics", dotted, new)
    for number, what in enumerate(OBJECTS):
        new = f"{{systematic_name: signal_norm, {what}}}"
        yield value_case("objects", "tiny_systematics", "systematics.2", new, f"object-{number}")
    for dotted, new in (
        ("ml.theta_ref", "nowhere"),
        ("ml.limits.theta_true", "nowhere"),
        ("ml.limits.theta_true", "{CWL2: 0.0}"),
        ("ml.fisher.theta", "nowhere"),
        ("ml.methods.2.network.activation", "cube"),
        ("ml.methods.2.network", "{n_mades: 3}"),
        ("ml.methods.2.training", "{nesterov_momentum: 0.9}"),
        ("ml.methods.2.training", "{initial_lr: 0.001, final_lr: 0.1}"),
        ("detector.smearing.0.particles", "[dragon]"),
        ("detector.smearing.0.particles", "[]"),
        ("detector", "{smearing: [], acceptance: {pt_min_a: -1.0}}"),
        ("ml.limits.toys", "{n_toys: 5, points: [nowhere]}"),
        ("ml.limits.toys", "{n_toys: 5, points: [{CWL2: 1.0}]}"),
        ("ml.limits.toys", "{n_toys: 5, nuisance_parameters: prior}"),
        ("ml.limits.toys", "{n_toys: 5, nuisance_parameters: anything}"),
    ):
        yield value_case("meaning", "wbf", dotted, new)
    for dotted, new in (
        ("ml.defaults", "[]"),
        ("ml.defaults", "{method: sally}"),
        ("ml.defaults", "{name: x}"),
        ("ml.defaults.network", "{n_hidden: none}"),
        ("ml.defaults.training.alpha", "-1"),
        ("ml.defaults.training", "{optimizer: magic}"),
        ("ml.defaults.theta0.priors", "{CWL2: {prior: flat}}"),
        ("ml.fisher.published", "{nobody: [[1.0, 0.0], [0.0, 1.0]]}"),
        ("ml.fisher.published.sally", "[[1.0]]"),
        ("ml.fisher.published.sally", "[[1.0, 2.0, 3.0], [1.0]]"),
    ):
        yield value_case("inheritance", "estimators", dotted, new)


LABELS = [
    *["", " "],
    *["$\\unknown$", "$", "$$$", "$x", "$\\frac{1}$", "$\\input{/etc/passwd}$", "$\\write18{id}$"],
    *["$" + "{" * 300 + "x" + "}" * 300 + "$", "$x^y^z$", "$\\left(x$", "$}{$", "$\\sqrt$"],
    *["\x07", "\ud800", "\x00", "a\nb", "$\\operatorname{$", "$\\mathbb$", "$^{$"],
]


def labels() -> Iterator[Case]:
    """Labels that no plot can have: refused, or shown as they are."""
    for i, label in enumerate(LABELS):
        new = quoted(label) if label != "\ud800" else '"\\ud800"'
        name, more = f"{i}", {"may_run": True}
        yield value_case(
            "label", "tiny", "observables.0.name", f"pt_j1, latex: {new}", name, **more
        )
        if i % 3 == 0:
            yield value_case("label", "tiny", "parameters.0.latex", new, name, **more)
            unit = f"deta_jj, unit: {new}"
            yield value_case("label", "tiny", "observables.1.name", unit, name, **more)


def with_card(key: str, base: str, name: str, make: Callable[[Path], None]) -> Case:
    """A file whose card of this key is what ``make`` makes of it."""

    def write(place: Place) -> Path:
        data = yaml.safe_load(text_of(base))
        add_cards(base, place.here)
        target = data["detector"] if key == "delphes_card" else data["processes"][0]
        if base == "tiny" and key == "pythia8_card":
            data["detector"] = {"delphes_card": "delphes_card_CMS.tcl"}
        if key == "delphes_card":
            data["processes"][0]["pythia8_card"] = "shower.dat"
            (place.here / "shower.dat").write_text("PartonLevel:MPI = off\n")
            data["detector"].pop("smearing", None)
            data["detector"].pop("met_noise", None)
        target[key] = "strange"
        make(place.here / "strange")
        file = place.here / "input.yml"
        file.write_text(yaml.safe_dump(data, sort_keys=False))
        return file

    return Case("card", f"{key}-{name}", write)


def _write(data: bytes) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(data), None)[1]


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _unreadable(path: Path) -> None:
    path.symlink_to("/proc/self/mem")


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(20 * 2**30)


SPECIAL: dict[str, Callable[[Path], None]] = {
    "fifo": _fifo,
    "zero": lambda path: path.symlink_to("/dev/zero"),
    "random": lambda path: path.symlink_to("/dev/urandom"),
    "full": lambda path: path.symlink_to("/dev/full"),
    "tty": lambda path: path.symlink_to("/dev/tty"),
    "directory": lambda path: path.mkdir(),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "loop": lambda path: path.symlink_to(path),
    "memory": _unreadable,
    "sparse": _sparse,
    "huge": _write(b"x" * (64 * 2**20)),
    "binary": _write(bytes(range(256)) * 16),
    "latin": _write("! größe\n".encode("latin-1")),
    "missing": lambda path: None,
    "kmsg": lambda path: path.symlink_to("/proc/kmsg"),
}


def specials() -> Iterator[Case]:
    """Files that are no files, as analysis and as cards."""

    def whole(name: str, make: Callable[[Path], None]) -> Case:
        def write(place: Place) -> Path:
            make(place.here / "input.yml")
            return place.here / "input.yml"

        return Case("special", f"input-{name}", write, parses=False)

    for name, make in SPECIAL.items():
        yield whole(name, make)
    for key, base in (
        *(("proc_card", "madgraph"), ("run_card", "madgraph"), ("param_card", "madgraph")),
        *(("pythia8_card", "tiny"), ("delphes_card", "tiny"), ("ufo_model", "madgraph")),
    ):
        for name, make in SPECIAL.items():
            yield with_card(key, base, name, make)


CARDS = {
    "proc_card": [
        *["", "generate\n", f"import model sm\n!{EXECUTE}\ngenerate p p > t t~\n"],
        *[
            f"shell {EXECUTE}\ngenerate p p > t t~\n",
            "import model sm\n",
            "output /tmp/x\nlaunch\n",
        ],
        *["import model /etc\ngenerate p p > h\n", "generate p p > h\nlaunch\n", "hello\n"],
        *["import command /etc/passwd\n", "generate p p > h\nset pythia8_path /x\n", "\x00\x01\n"],
    ],
    "run_card": [
        "x\n",
        "1 = 2 = 3\n",
        "10 = nevents\n",
        "5 = iseed\n",
        "= x\n",
        "True = use_syst\n",
    ],
    "param_card": [
        "hello\n",
        "BLOCK x\n 1 a\n",
        " 1 2.0\n",
        "DECAY x y\n",
        "Block mass\n 25 nan\n",
    ],
}


def cards() -> Iterator[Case]:
    """Cards that say nothing, or what they must not."""
    for key, texts in CARDS.items():
        for i, text in enumerate(texts):

            def make(path: Path, text: str = text) -> None:
                path.write_text(text.replace("@CANARY@", str(path.parent.parent / "canary")))

            yield with_card(key, "madgraph", f"text-{i}", make)
    for key, name in (
        *(("proc_card", "/etc/shadow-of-nothing"), ("proc_card", "../../../../nowhere")),
        *(("ufo_model", "/nowhere"), ("ufo_model", "cards"), ("run_card", "a\\0b")),
        *(("run_card", ""), ("run_card", "x" * 5000), ("proc_card", "~/x")),
    ):
        data = yaml.safe_load(text_of("madgraph"))
        data["processes"][0][key] = name.replace("\\0", "\0")
        text = yaml.safe_dump(data, sort_keys=False)
        yield text_case("card", f"{key}-named-{name[:20].replace('/', '~')}", "madgraph", text)


def refused() -> Iterator[Case]:
    """All files that must be refused."""
    for corpus in (
        *(wrong_types, magnitudes, keys, syntax, encodings, expressions, names, labels),
        *(specials, cards),
    ):
        yield from corpus()


def _set(data: Any, dotted: str, new: Any) -> None:
    *path, last = (int(key) if key.isdigit() else key for key in dotted.split("."))
    for key in path:
        data = data[key]
    if new is None:
        del data[last]
    else:
        data[last] = new


SALLY = {"method": "sally", "n_samples": 300, "network": {"n_hidden": [4]}}
QUICK = {"n_epochs": 1, "batch_size": 64}
OBJECTS = (
    "effect: energy_scales, energy_scale_variation: 0.1, particles: [j]",
    "effect: [energy_scale], energy_scale_variation: 0.1, particles: [j]",
    "effect: energy_scale, particles: [j]",
    "effect: energy_scale, energy_scale_variation: 0.1",
    "effect: energy_scale, energy_scale_variation: 0, particles: [j]",
    "effect: energy_scale, energy_scale_variation: -0.1, particles: [j]",
    "effect: energy_scale, energy_scale_variation: 1.0, particles: [j]",
    "effect: energy_scale, energy_scale_variation: 1e999, particles: [j]",
    "effect: energy_scale, energy_scale_variation: .nan, particles: [j]",
    "effect: energy_scale, energy_scale_variation: '3%', particles: [j]",
    "effect: energy_scale, energy_scale_variation: 0.1, particles: []",
    "effect: energy_scale, energy_scale_variation: 0.1, particles: j",
    "effect: energy_scale, energy_scale_variation: 0.1, particles: [dragon]",
    "effect: energy_scale, energy_scale_variation: 0.1, particles: [met]",
    "effect: energy_scale, energy_scale_variation: 0.1, particles: [j, j]",
    "effect: energy_scale, energy_scale_variation: 0.1, particles: [j], pt_range: [60, 25]",
    "effect: energy_scale, energy_scale_variation: 0.1, particles: [j], pt_range: [25]",
    "effect: energy_scale, energy_scale_variation: 0.1, particles: [j], pt_range: [25, 1e999]",
    "effect: energy_scale, energy_scale_variation: 0.1, particles: [j], pt_range: [-5, 25]",
    "effect: energy_scale, energy_scale_variation: 0.1, particles: [j], eta_range: [2.5, 1]",
    "effect: energy_scale, energy_scale_variation: 0.1, particles: [j], eta_range: 2.5",
    "effect: energy_scale, energy_scale_variation: 0.1, particles: [j], scale: mu",
    "effect: energy_scale, norm_variation: 1.1, particles: [j]",
    "effect: energy_resolution, energy_scale_variation: 0.1, particles: [j]",
    "effect: energy_resolution, energy_resolution_variation: 2, particles: [j]",
    "effect: energy_resolution, energy_resolution_variation: 0.1, particles: [v]",
    "effect: met_scale, met_scale_variation: 0.1, particles: [j]",
    "effect: met_scale, met_scale_variation: 0.1, pt_range: [25, 60]",
    "effect: met_scale",
    "effect: met_scale, met_scale_variation: 0.1",
    "effect: efficiency, efficiency_variation: 1.02, particles: [a]",
    "effect: efficiency, efficiency_variation: 0.1",
    "effect: efficiency, efficiency_variation: 0.1, particles: {a: 1}",
    "effect: norm, norm_variation: 1.02, particles: [a]",
)
"""Uncertainties of objects that are wrong."""

ODD_OBJECTS = {
    "scale-of-nearly-all": "effect: energy_scale, energy_scale_variation: 0.99, particles: [j]",
    "scale-of-rounding": "effect: energy_scale, energy_scale_variation: 1.0e-15, particles: [j]",
    "scale-of-nothing": "effect: energy_scale, energy_scale_variation: 0.1, particles: [tau]",
    "scale-elsewhere": "effect: energy_scale, energy_scale_variation: 0.1, particles: [j], "
    "pt_range: [1.0e+14, 1.0e+15]",
    "scale-of-one-pt": "effect: energy_scale, energy_scale_variation: 0.1, particles: [j], "
    "pt_range: [60.0, 60.000001]",
    "efficiency": "effect: efficiency, efficiency_variation: 0.999, particles: [a]",
}
"""Uncertainties of objects that are unusual and right."""

ODD: dict[str, dict[str, Any]] = {
    "no-cuts": {},
    "one-bin": {"ml.methods.0.bins": {"pt_j1": 1}},
    "many-bins": {"ml.methods.0.bins": {"pt_j1": 500}},
    "bin-without-events": {"ml.methods.0.bins": {"pt_j1": [1e5, 1e6]}},
    "constant-observable": {"observables.1.definition": "1.0"},
    "observable-of-defaults": {
        "observables.1": {"name": "x", "definition": "j[7].pt", "default": 0.0}
    },
    "huge-observable": {"observables.1.definition": "1e30 * j[0].pt"},
    "tiny-observable": {"observables.1.definition": "1e-30 * j[0].pt"},
    "infinite-for-some": {"observables.1.definition": "1.0 / float(j[0].pt > 60.0)"},
    "shadowing-name": {"observables.1.name": "met"},
    "long-name": {"observables.1.name": "x" * 128},
    "two-events-of-a-benchmark": {"processes.0.events": {"sm": 200, "w": 2}},
    "one-benchmark": {"processes.0.events": {"w": 300}},
    "narrow-range": {"observables.0.range": [60.0, 60.0001]},
    "range-elsewhere": {"observables.0.range": [-2.0, -1.0]},
    "huge-range": {"observables.0.range": [-1e15, 1e15]},
    "html-title": {"title": "<script>alert(1)</script> & 'quotes' \"doubled\" $x$ \\ %s {0}"},
    "long-title": {"title": "very " * 99 + "long"},
    "unicode-title": {"title": "Größe 名 🎉 \u202e"},
    "odd-latex": {"parameters.0.latex": "<b>c</b> & _x_ ^ # % ~"},
    "plain-latex": {"parameters.0.latex": "c_W with_under_scores"},
    "dollar-unit": {"observables.0.unit": "\\$"},
    "grid-of-two": {"ml.limits.grid": {"CWL2": {"range": [-2.0, 2.0], "resolution": 2}}},
    "grid-beside-the-truth": {"ml.limits.grid": {"CWL2": {"range": [1.0, 2.0], "resolution": 5}}},
    "tiny-grid": {"ml.limits.grid": {"CWL2": {"range": [-1e-9, 1e-9], "resolution": 5}}},
    "wide-grid": {"ml.limits.grid": {"CWL2": {"range": [-1e4, 1e4], "resolution": 5}}},
    "one-level": {"ml.limits.confidence_levels": [0.5]},
    "many-levels": {"ml.limits.confidence_levels": [0.001 + i / 20 for i in range(19)]},
    "high-level": {"ml.limits.confidence_levels": [0.999999]},
    "tiny-luminosity": {"ml.luminosity": 1e-6},
    "large-luminosity": {"ml.luminosity": 1e9},
    "seed-0": {"seed": 0},
    "largest-seed": {"seed": 4294967295},
    "small-split": {"ml.test_split": 0.02},
    "large-split": {"ml.test_split": 0.98},
    "k-factor": {"processes.0.k_factor": 1e-6},
    "few-samples": {"ml.methods.1.n_samples": 40},
    "batch-above-samples": {"ml.methods.1.training.batch_size": 100000},
    "large-rate": {"ml.methods.1.training.initial_lr": 10.0},
    "wide-prior": {
        "ml.methods.2.theta0.priors": {"CWL2": {"prior": "flat", "min": -19.0, "max": 19.0}}
    },
    "narrow-prior": {
        "ml.methods.2.theta0.priors": {"CWL2": {"prior": "flat", "min": 1.0, "max": 1.001}}
    },
    "one-theta": {"ml.methods.2.theta0.n_thetas": 1},
    "dropout": {"ml.methods.1.network.dropout_prob": 0.99},
    "method-twice": {"ml.methods.1": {**SALLY, "name": "a", "training": QUICK}},
    "cut-of-few": {"cuts": [{"definition": "pt_j1 > 90.0"}]},
    "efficiency-0-for-some": {"efficiencies": [{"definition": "float(pt_j1 > 60.0)"}]},
    "toys-of-one": {"ml.limits.toys": {"n_toys": 1, "resolution": 2, "njobs": 1}},
    "more-jobs-than-toys": {"ml.limits.toys": {"n_toys": 2, "resolution": 2, "njobs": 5}},
    "truth-between": {"ml.limits.theta_true": {"CWL2": 0.3}},
    "truth-at-the-edge": {"ml.limits.theta_true": {"CWL2": 2.0}},
    "name-with-dashes": {"name": "-a-_b"},
    "process-name": {"processes.0.name": "--help"},
    "method-name": {"ml.methods.1.name": "-x"},
    "numeric-method-name": {"ml.methods.1.name": "007"},
}
"""Changes of ``tiny1`` that are unusual and right."""


def odd() -> Iterator[Case]:
    """Files that must run to the report."""
    for name, changes in ODD.items():
        data = yaml.safe_load(text_of("tiny1"))
        for dotted, new in changes.items():
            _set(data, dotted, new)
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        yield text_case("odd but right", name, "tiny1", text)
    for name, what in ODD_OBJECTS.items():
        data = yaml.safe_load(text_of("tiny_systematics"))
        data["systematics"][2] = yaml.safe_load(f"{{systematic_name: signal_norm, {what}}}")
        nature = "nominal" if yaml.safe_load(f"{{{what}}}")["effect"] != "efficiency" else "prior"
        toys = {"n_toys": 3, "njobs": 1, "resolution": 2, "nuisance_parameters": nature}
        data["ml"]["limits"]["toys"] = toys
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        yield text_case("odd objects", name, "tiny_systematics", text)
