"""Write the pages of the site that say what the code says: results, API, steps, commands, notebook.

``python scripts/reference_pages.py FOLDER`` makes results.md with results.schema.json, api.md,
steps.md, commands.md and notebook.md there; `make site` does so in build/reference. The notebook is
executed where there is the run that it loads, in runs/wbf.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import textwrap
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import msgspec
import yaml

from madminer_workflow import api
from madminer_workflow.api import model, run
from madminer_workflow.cli import main
from madminer_workflow.graph import INDICES, STEPS, Option, Step
from madminer_workflow.report.results import SCHEMA_VERSION, Report

REPOSITORY = Path(__file__).resolve().parents[1]
NOTEBOOK = REPOSITORY / "docs" / "notebook.ipynb"
RUN = "runs/wbf"
"""What the notebook loads."""
SCHEMA = "results.schema.json"
WIDTH = 92
"""Characters of a line of help."""

RESULTS = f"""\
# results.json

`ml/plotting/results.json` contains all numbers of a run; the report, its figures, `plot` and
`compare` use nothing else. `schema_version`, currently {SCHEMA_VERSION}, changes when an existing
entry changes its name, place or meaning, but not when keys are added. A version that this package
cannot read is refused. There is a [JSON Schema]({SCHEMA}) with names and types. In Python, the
content is [`load_run(…).report`](api.md).

Parameter points are arrays in the order of `parameters`. Confidence levels are keys, written as in
the analysis file (`"0.95"`). The kinds of likelihood are `rate_and_shape` and `shape`. A number
that is not finite is `null`. Something that a run does not have, such as `observed` limits without
data, has no key; such keys are marked *optional*. Parameters and observables have the units of the
analysis file. Cross-sections are in fb, except those under `cross_sections` and `closure`,
which the physics steps recorded in pb.
"""

API = """\
# Python API

```python
from madminer_workflow import api

run = api.load_run("runs/wbf")
print(run.limits("sally").intervals["CWL2"]["0.95"])

model = run.model("polynomial")
x = run.evaluated("polynomial").arrays["x_test"]
log_r = model.log_likelihood_ratio(x, {"CWL2": 0.2, "CPWL2": 0.0})
```

The API uses the code of the steps, so it gives the same numbers. The [notebook](notebook.md) shows
an example, from a run to a contour. The import takes half a second; PyTorch is loaded with the
first network.
"""

STEPS_HEAD = """\
# Steps

The steps of the workflow, as defined in `src/madminer_workflow/graph.py`. Every step is a command,
`madminer-workflow STEP`, that reads only its arguments and writes only to `--output`; its options
are in [commands](commands.md#{first}). Some steps run several times: the column *for each* says
whether once for every job of events, method, member of an ensemble, or share of the toys. Results
are in the work directory, under `physics/` and `ml/`.

| step | after | for each | resources |
|---|---|---|---|
{table}

The [resource classes](reana.md) are defined in `steps/resources.yml`:

| class | memory | CPU | time limit |
|---|---|---|---|
{classes}
"""

COMMANDS = """\
# Commands

The output of `madminer-workflow COMMAND --help`. A command ends with exit code 2 for bad input and
with exit code 1 if a step fails; in both cases, it prints one line per problem.
"""


def results_page() -> str:
    """The structure of ``results.json``."""
    sections = []
    for kind in structs_of(Report):
        rows = [
            f"| `{field.encode_name}` | {type_words(field.type)} "
            f"| {'' if field.required else 'optional'} |"
            for field in msgspec.structs.fields(kind)
        ]
        tag = kind.__struct_config__.tag
        if tag is not None:
            rows.insert(0, f'| `{kind.__struct_config__.tag_field}` | `"{tag}"` | |')
        table = ["| key | value | |", "|---|---|---|", *rows] if rows else []
        heading = "" if kind is Report else f"## {kind.__name__}\n"
        sections.append("\n".join([heading, prose(kind), "", *table, ""]))
    return "\n".join([RESULTS, *sections, ""])


def structs_of(whole: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """A struct and those within it, but for the parts of an analysis file, in their order."""
    known: list[type[msgspec.Struct]] = [whole]
    for kind in known:
        for field in msgspec.structs.fields(kind):
            for part in parts_of(field.type):
                if is_struct(part) and part not in known and not of_analysis(part):
                    known.append(part)
    return known


def parts_of(annotation: Any) -> Iterator[Any]:
    """A type and all those within it."""
    yield annotation
    for part in typing.get_args(annotation):
        yield from parts_of(part)


def is_struct(kind: Any) -> bool:
    """Whether it is a type with fields."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def of_analysis(kind: type) -> bool:
    """Whether it is a part of the analysis file, which has a page to itself."""
    return kind.__module__ == "madminer_workflow.analysis.types"


def type_words(annotation: Any) -> str:
    """A type in words, with links to the sections of others."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_words(arguments[0])
    if origin in (types.UnionType, typing.Union):
        kinds = [part for part in arguments if part is not type(None)]
        if all(is_struct(part) and of_analysis(part) for part in kinds):
            words = "part of the [analysis file](analysis-file.md)"
        else:
            words = " or ".join(dict.fromkeys(map(type_words, kinds)))
        return f"{words} or null" if type(None) in arguments else words
    if origin is list:
        return f"list of {type_words(arguments[0])}"
    if origin is tuple and Ellipsis in arguments:
        return f"list of {type_words(arguments[0])}"
    if origin is tuple:
        return f"({', '.join(map(type_words, arguments))})"
    if origin is typing.Literal:
        return " or ".join(f"`{json.dumps(value)}`" for value in arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"by name: {type_words(arguments[1])}"
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return f"list of {type_words(arguments[0])}"
    if is_struct(annotation):
        if of_analysis(annotation):
            return "part of the [analysis file](analysis-file.md)"
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    simple = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return simple.get(annotation, "anything")


def prose(thing: Any) -> str:
    """The docstring of something, as Markdown."""
    return re.sub(r"``([^`]+)``", r"`\1`", inspect.getdoc(thing) or "")


def api_page() -> str:
    """Every public function and class of the API, and its types."""
    parts = [API]
    for name in api.__all__:
        thing = getattr(api, name)
        if inspect.isfunction(thing):
            parts.append(f"## {name}\n\n{signature(name, thing)}\n\n{prose(thing)}\n")
    for name in api.__all__:
        thing = getattr(api, name)
        if not inspect.isclass(thing) or not thing.__module__.startswith("madminer_workflow.api"):
            continue
        parts.append(f"## {name}\n\n{prose(thing)}\n")
        for member, value in vars(thing).items():
            if member.startswith("_") and member != "__len__":
                continue
            if inspect.isfunction(value):
                title = f"len({name.lower()})" if member == "__len__" else f"{name}.{member}"
                code = "" if member == "__len__" else f"{signature(member, value)}\n\n"
                parts.append(f"### {title}\n\n{code}{prose(value)}\n")
            elif inspect.isdatadescriptor(value) or hasattr(value, "func"):
                getter = getattr(value, "fget", None) or getattr(value, "func", None)
                if getter is not None and (returned := getter.__annotations__.get("return")):
                    parts.append(f"### {name}.{member}\n\n`{returned}`\n\n{prose(getter)}\n")
    parts.append("## Types of arguments\n")
    parts += [f"**{name}**: {words}\n" for name, words in sorted(aliases())]
    parts.append(
        "Results are of the types of [results.json](results.md): [Limits](results.md#limits), "
        "[MethodInformation](results.md#methodinformation), [JointFit](results.md#jointfit), … "
        "The analysis has the keys of the [analysis file](analysis-file.md) as attributes.\n"
    )
    return "\n".join(parts)


def signature(name: str, function: Any) -> str:
    """A function's, as code."""
    parameters = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name != "self"
    ]
    whole = inspect.Signature(
        [one.replace(annotation=bare(one.annotation)) for one in parameters],
        return_annotation=bare(inspect.signature(function).return_annotation),
    )
    text = f"{name}{whole}".replace("'", "")
    if len(text) > WIDTH:
        inner = ",\n    ".join(str(one).replace("'", "") for one in whole.parameters.values())
        text = f"{name}(\n    {inner},\n) -> {bare(whole.return_annotation)}"
    return f"```python\n{text}\n```"


def bare(annotation: Any) -> Any:
    """An annotation as it is written."""
    return (
        annotation
        if isinstance(annotation, str) or annotation is inspect.Parameter.empty
        else annotation.__name__
    )


def aliases() -> Iterator[tuple[str, str]]:
    """The names of types that the API has for arguments, and what is said of them."""
    for module in (model, run):
        body = ast.parse(inspect.getsource(module)).body
        for node, text in pairwise(body):
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                words = " ".join(str(text.value.value).split())
                yield node.targets[0].id, re.sub(r"``([^`]+)``", r"`\1`", words)


def steps_page() -> str:
    """Every step with its inputs, products, packages and resources."""
    described = {
        name: entry
        for part in ("physics", "ml")
        for name, entry in yaml.safe_load((REPOSITORY / f"steps/{part}.yml").read_text()).items()
    }
    table, parts = [], []
    for step in STEPS.values():
        [resources] = described[step.name]["environment"]["resources"]
        kind = resources["$ref"].partition("#/")[2]
        after = ", ".join(f"[{one.name}](#{one.name})" for one in step.before)
        table.append(f"| [{step.name}](#{step.name}) | {after} | {', '.join(step.each)} | {kind} |")
        parts.append(step_section(step, described[step.name]["environment"]))
    classes = yaml.safe_load((REPOSITORY / "steps/resources.yml").read_text())
    rows = [
        f"| {name} | {one['kubernetes_memory_limit']} | {one['kubernetes_cpu_limit']} "
        f"| {int(one['kubernetes_job_timeout']) // 3600} h |"
        for name, one in classes.items()
    ]
    head = STEPS_HEAD.format(
        first=next(iter(STEPS)), table="\n".join(table), classes="\n".join(rows)
    )
    return "\n".join([head, *parts])


def step_section(step: Step, environment: Mapping[str, Any]) -> str:
    """What there is to say of one step."""
    inputs = [
        f"| {f'`{option.word}`' if option.word else 'arguments'} | {source(option)} "
        f"| {option_help(option)} |"
        for option in step.options
    ]
    products = [f"| `{name}` | `{file}` |" for name, file in step.products.items()]
    for_each = {index: INDICES[index] for index in step.each}
    each = "".join(
        f" Once for each file of `{made}` ({index})." for index, made in for_each.items()
    )
    image = f"{environment['image'].rpartition('/')[2]}"
    return "\n".join(
        [
            f"## {step.name}\n",
            inspect.cleandoc(step.help),
            "",
            f"Module `{step.module}`, image `{image}`, part `{step.part}`.{each}",
            "",
            "| input | from | |",
            "|---|---|---|",
            *inputs,
            "",
            "| product | file |",
            "|---|---|",
            *products,
            "",
        ]
    )


def source(option: Option) -> str:
    """Where the value of an option comes from."""
    if option.is_product:
        name, _, published = option.source.partition(".")
        return f"[{name}](#{name}): `{published}`"
    return f"parameter `{option.source}`" if option.source else "by hand"


def option_help(option: Option) -> str:
    """What its help says, in one line of a table."""
    return " ".join(option.help.split()).replace("|", "\\|")


def commands_page() -> str:
    """The help of every command."""
    parts = [COMMANDS]
    for words, command in commands_of(main, ["madminer-workflow"]):
        parts.append(
            f"## {' '.join(words[1:]) or words[0]}\n\n```text\n{help_of(words, command)}\n```\n"
        )
    return "\n".join(parts)


def commands_of(
    command: click.Command, words: list[str]
) -> Iterator[tuple[list[str], click.Command]]:
    """A command and those below it, each with its words."""
    yield words, command
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            yield from commands_of(command.commands[name], [*words, name])


def help_of(words: list[str], command: click.Command) -> str:
    """What ``--help`` writes."""
    context = click.Context(
        command, info_name=" ".join(words), terminal_width=WIDTH, max_content_width=WIDTH
    )
    return textwrap.dedent(command.get_help(context)).rstrip()


def notebook_page(folder: Path) -> str:
    """The notebook, with outputs where there is the run that it loads; figures in ``folder``."""
    try:
        api.load_run(REPOSITORY / RUN)
        executed = True
    except api.InputError:
        executed = False
    parts = []
    for number, (kind, text, output) in enumerate(cells(executed, folder)):
        parts.append(text if kind == "markdown" else f"```python\n{text}\n```")
        if output:
            parts.append(f"```text\n{output}\n```")
        if (folder / f"notebook-{number}.png").is_file():
            parts.append(f"![Figure of the cell above](notebook-{number}.png)")
    if not executed:
        parts.insert(1, f"*Without outputs: `{RUN}` did not exist when this page was built.*")
    return "\n\n".join(parts) + "\n"


def cells(execute: bool, figures: Path) -> Iterator[tuple[str, str, str]]:
    """Each cell of the notebook: its kind, its text, and what it writes if it is executed.

    That is done by plain Python, as a notebook does it: what a cell prints, and the value of an
    expression at its end. Figures become notebook-N.png in ``figures``, N the number of the cell.
    """
    import matplotlib

    matplotlib.use("Agg")
    scope: dict[str, Any] = {}
    for number, cell in enumerate(json.loads(NOTEBOOK.read_text("utf-8"))["cells"]):
        text, output = "".join(cell["source"]), ""
        if execute and cell["cell_type"] == "code":
            output = run_cell(text, scope, figures / f"notebook-{number}.png")
        yield cell["cell_type"], text, output


def run_cell(text: str, scope: dict[str, Any], picture: Path) -> str:
    """Execute a cell in ``scope``; return what it writes, and save the figure that it draws."""
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    *before, last = ast.parse(text).body
    with redirect_stdout(StringIO()) as written:
        # As in a notebook, a semicolon at the end hides the value.
        hidden = text.rstrip().endswith(";")
        if hidden or not isinstance(last, ast.Expr):
            before.append(last)
        exec(compile(ast.Module(before, []), str(NOTEBOOK), "exec"), scope)
        value = None
        if not hidden and isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), scope)
        if value is not None and not isinstance(value, Figure):
            print(value if isinstance(value, str) else repr(value))
    drawn = [value] if isinstance(value, Figure) else []
    drawn += [pyplot.figure(number) for number in pyplot.get_fignums()]
    for figure in drawn:
        figure.savefig(picture, dpi=100)
    pyplot.close("all")
    return written.getvalue().rstrip()


PAGES = {
    "results.md": results_page,
    "api.md": api_page,
    "steps.md": steps_page,
    "commands.md": commands_page,
}


def write(folder: Path) -> None:
    """Write all pages."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")
    for picture in folder.glob("notebook-*.png"):
        picture.unlink()
    (folder / "notebook.md").write_text(notebook_page(folder), encoding="utf-8")
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **msgspec.json.schema(Report),
    }
    schema = msgspec.json.format(msgspec.json.encode(whole), indent=1)
    (folder / SCHEMA).write_bytes(schema + b"\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
