from __future__ import annotations

import ast
from pathlib import Path


def test_oracles_import_nothing_of_the_package_they_judge():
    for file in Path(__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "transect" for name in names), file.name
