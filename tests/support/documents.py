"""What pages in docs/ name: tests."""

import ast
import re
from pathlib import Path

TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)(?:\[[^\]]*\])?`")  # a file and a function


def functions(file: Path) -> set[str]:
    """The functions of a module."""
    tree = ast.parse(file.read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
