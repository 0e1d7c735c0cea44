"""What another library says of its errors may quote what is stored or sent: no error of ours repeats it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import chatstore

PACKAGE = Path(chatstore.__file__).parent
TREES = {path.relative_to(PACKAGE): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}

OURS = {
    node.name for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
}  # fmt: skip
SAFE = {
    ("codec.py", "encode"): "of a value that has been looked at: infinite, or too deep",
    ("codec.py", "_parsed"): "the standard library's place in a text, or the length of a number",
    ("store/drafts.py", "_reread"): "the same",
    ("importing/values.py", "_tolerant"): "the same",
    ("importing/texts.py", "_unzipped"): "zlib's number",
    ("api_keys.py", "scopes_of"): "the name of a scope that the operator wrote",
    ("backends/azure_tables/account.py", "_configured"): "before anything is stored, and without a password",
    ("backends/azure_tables/identity.py", "get_token"): "into an error of the SDK's, which is not repeated",
    ("http/logs.py", "without_content"): "only of errors of ours",
    ("http/forms.py", "_form"): "a ValueError of our own",
    ("integrations/llama_index/messages.py", "write"): "why the caller's own value cannot be written",
}
"""Where the text of a foreign error is repeated, and why that tells nothing."""


def named(node: ast.expr | None) -> set[str]:
    """The classes that a handler catches."""
    if isinstance(node, ast.Tuple):
        return set().union(*map(named, node.elts))
    return {ast.unparse(node).rpartition(".")[2]} if node is not None else {"BaseException"}


def said(handler: ast.ExceptHandler) -> bool:
    """Whether the text of what was caught is made a part of another text, or passed on."""
    for node in ast.walk(handler):
        if isinstance(node, ast.FormattedValue):
            value = node.value
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("str", "repr") and node.args:
            value = node.args[0]
        else:
            continue
        if isinstance(value, ast.Name) and value.id == handler.name:
            return True
    return False


def repeating() -> Iterator[tuple[str, str]]:
    for path, tree in TREES.items():
        for function in ast.walk(tree):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for node in ast.walk(function):
                    if isinstance(node, ast.ExceptHandler) and named(node.type) - OURS and said(node):
                        yield path.as_posix(), function.name


def causes(function: ast.AST) -> set[str]:
    """The names under which a function has what caused an error, which is a library's own."""
    return {
        target.id
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and "__cause__" in ast.unparse(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def test_no_text_of_a_cause_is_repeated() -> None:
    repeated = {
        (path.as_posix(), function.name)
        for path, tree in TREES.items()
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
        if isinstance(node, ast.FormattedValue)
        and (ast.unparse(node.value) in causes(function) or "__cause__" in ast.unparse(node.value))
    }
    assert repeated == set()


def test_no_text_of_a_foreign_error_is_repeated() -> None:
    assert set(repeating()) == set(SAFE)
