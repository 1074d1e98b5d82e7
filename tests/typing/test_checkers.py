"""What mypy and pyright, both strict, say of journeys: `right/` is right, `wrong/` is found."""

import asyncio
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

from tests.parts import BIN

_ROOT = Path(__file__).resolve().parents[2]
_HERE = Path(__file__).resolve().parent
_CHECKED = (*sorted(_HERE.glob("right/*.py")), *sorted(_HERE.glob("wrong/*.py")))
_JOURNEYS = sorted(_ROOT.glob("journeys/*/**/*.py"))
_MYPY = re.compile(r"^(.+?):(\d+): error: .*\[([\w-]+)\]$", re.MULTILINE)
_CONSEQUENCE = "reportUnknown"  # of an error that is there already

Said = dict[tuple[str, int], set[str]]
"""The rules that are broken, by file and line."""


def _expected(checker: str) -> Said:
    said: Said = {}
    for path in _CHECKED:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if rules := re.search(rf"  # error:.* {checker}=(\S+)", line):
                said[f"{path.parent.name}/{path.name}", number] = set(rules[1].split(","))
    return said


def _found(errors: list[tuple[str, int, str]]) -> Said:
    said: Said = defaultdict(set)
    for file, line, rule in errors:
        path = Path(file)
        said[f"{path.parent.name}/{path.name}", line].add(rule)
    return dict(said)


async def test_mypy_finds_every_mistake_and_nothing_else() -> None:
    output = await _run(sys.executable, "-m", "mypy", "--no-error-summary", *map(str, _CHECKED))
    errors = [(file, int(line), rule) for file, line, rule in _MYPY.findall(output)]
    assert _found(errors) == _expected("mypy"), output


async def test_pyright_finds_every_mistake_and_nothing_else_and_the_journeys_right() -> None:
    checked = map(str, (*_CHECKED, *_JOURNEYS))
    where = ("--pythonpath", sys.executable)
    output = await _run(str(BIN / "basedpyright"), "--outputjson", *where, *checked)
    errors = [
        (d["file"], d["range"]["start"]["line"] + 1, d["rule"])
        for d in json.loads(output)["generalDiagnostics"]
        if d["severity"] == "error" and not _is_consequence(d["file"], d["rule"])
    ]
    assert _found(errors) == _expected("pyright"), output


def _is_consequence(file: str, rule: str) -> bool:
    return "wrong" in Path(file).parts and rule.startswith(_CONSEQUENCE)


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=_ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return output.decode()
