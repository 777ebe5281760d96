"""The public names: there when they are used, and known where types are checked, which see no ``__getattr__``."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import transect


def test_every_public_name_is_there_and_known_to_type_checkers():
    (block,) = [
        node
        for node in ast.parse(Path(transect.__file__).read_text(encoding="utf-8")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    known = {name.name for node in block.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert known | {"__version__"} == set(transect.__all__) == set(dir(transect))
    assert all(getattr(transect, name) is not None for name in transect.__all__)


def test_a_name_that_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'transect' has no attribute 'trcae'"):
        _ = transect.trcae
