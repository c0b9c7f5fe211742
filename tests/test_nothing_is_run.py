"""Nothing that comes from outside is run: what could do so is counted here, and explained."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import recycling

ROOT = Path(recycling.__file__).parent

FORBIDDEN = re.compile(
    r"""
    (?:builtins\.)? (?:eval|exec|compile|__import__)
    | (?:c?[Pp]ickle|dill|cloudpickle|marshal|shelve|joblib) \. (?:\w+\.)* (?:loads?|open|Unpickler)
    | (?:pandas|numpy) \. (?:read_pickle|fromregex)
    | torch \. (?:load|jit\.load|hub\.load\w*|package\..*)
    | yaml \. (?:unsafe_|full_)?load(?:_all)?
    | mmengine \. (?:\w+\.)* (?:Config\.fromfile|Config\.fromstring|load)
    | (?:xml|lxml) \. .* (?:fromstring|parse|iterparse|XML|XMLParser|parseString)
    | os \. (?:system|popen|exec\w+|spawn\w+)
    | (?:shutil\.unpack_archive | .*\.extractall | .*\.extract)
    """,
    re.VERBOSE,
)
"""Calls that may run what a file says, or write where an archive says."""

CONDITIONS = re.compile(r"(?!self\.).+\.(?:query|eval)")
"""Of pandas: a condition may look up attributes and call them. One that is written out may stay."""

UNSAFE = {
    "allow_pickle": "True",
    "allow_unsafe": "True",
    "shell": "True",
    "trust_remote_code": "True",
    "weights_only": "False",
}
"""Arguments with which harmless calls are not."""

EXPLAINED = {
    # Recipes are code of the project's own, as SECURITY.md says.
    ("backends/mmengine_backend/resolve.py", "mmengine.config.Config.fromfile"): 1,
    # Configs of the installed library.
    ("backends/mmengine_backend/settings/published.py", "mmengine.config.Config.fromfile"): 1,
    # A class of numpy's arrays and nothing else; the parent writes the job that a process reads.
    ("backends/detectron2_backend/pretrained.py", "pickle.Unpickler"): 1,
    ("backends/mmengine_backend/worker.py", "pickle.loads"): 1,
    # A packed configuration, which is trusted; of a tar nothing lands outside of its folder.
    ("sessions.py", "shutil.unpack_archive"): 1,
    # A condition of which every part has been looked at.
    ("experiments/listing.py", "named.query"): 1,
    # A loader of texts alone, which knows no tags.
    ("annotations/formats/yolo.py", "yaml.load"): 1,
}
"""What is there, how often, and why it may be."""


def imported_names(tree: ast.AST) -> dict[str, str]:
    """What each name of a file stands for, ``np`` for ``numpy``."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def uses(tree: ast.AST) -> Iterator[tuple[str, ast.Call | None]]:
    """The full names of what a file calls, inherits from, or has in hand."""
    names = imported_names(tree)
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)):
            first, *rest = ast.unparse(node).split(".")
            yield ".".join([names.get(first, first), *rest]), calls.get(id(node))


def findings(tree: ast.AST) -> Iterator[str]:
    for name, call in uses(tree):
        arguments = {} if call is None else {a.arg: ast.unparse(a.value) for a in call.keywords}
        if any(arguments.get(key) == value for key, value in UNSAFE.items()):
            yield f"{name} {arguments}"
        elif name == "torch.load" and arguments.get("weights_only") == "True":
            continue
        elif FORBIDDEN.fullmatch(name) or (
            CONDITIONS.fullmatch(name)
            and call is not None
            and not all(isinstance(each, ast.Constant) for each in call.args)
        ):
            yield name


def test_nothing_in_the_source_runs_what_a_file_says() -> None:
    found: dict[tuple[str, str], int] = {}
    for path in ROOT.rglob("*.py"):
        for name in findings(ast.parse(path.read_text(encoding="utf-8"))):
            key = (path.relative_to(ROOT).as_posix(), name)
            found[key] = found.get(key, 0) + 1
    assert found == EXPLAINED


@pytest.mark.parametrize(
    "line",
    [
        "import torch\ntorch.load(path)",
        "import torch\ntorch.load(path, weights_only=False)",
        "from torch import load as read\nread(path, map_location='cpu')",
        "import pickle\npickle.load(file)",
        "from pickle import Unpickler\nclass Own(Unpickler): ...",
        "from pickle import loads\nread = loads",
        "import yaml\nyaml.load(text, Loader=yaml.Loader)",
        "import yaml\nyaml.unsafe_load(text)",
        "eval(text)",
        "exec(compile(text, 'x', 'exec'))",
        "from mmengine.config import Config\nConfig.fromfile(path)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import pandas as pd\npd.read_pickle(path)",
        "table.query(where)",
        "import pandas as pd\npd.eval(text)",
        "from xml.etree import ElementTree\nElementTree.fromstring(text)",
        "import xml.etree.ElementTree as et\net.parse(path)",
        "from lxml import etree\netree.parse(path)",
        "import subprocess\nsubprocess.run(line, shell=True)",
        "import os\nos.system(line)",
        "import zipfile\nzipfile.ZipFile(path).extractall(folder)",
        "import shutil\nshutil.unpack_archive(path)",
        "import joblib\njoblib.load(path)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
    ],
)
def test_what_runs_a_file_is_found(line: str) -> None:
    assert list(findings(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        "import torch\ntorch.load(path, map_location='cpu', weights_only=True)",
        "network.eval()",
        "import json\njson.load(file)",
        "import numpy as np\nnp.load(path)",
        "import re\nre.compile(text)",
        "from defusedxml.ElementTree import fromstring\nfromstring(text)",
        "import yaml\nyaml.safe_load(text)",
    ],
)
def test_what_runs_nothing_is_not(line: str) -> None:
    assert not list(findings(ast.parse(line)))
