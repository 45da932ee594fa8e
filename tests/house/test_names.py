from __future__ import annotations

import ast
import re

from tests.house.tree import HOUSE, TOP, modules, texts

DRAWERS = re.compile("utils?|helpers?|common|misc|base|core|managers?|handlers?|processors?|data|infos?|obj|objects?")


def last_word(name: str) -> str:
    return str(re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)[-1]).lower()


def test_no_public_name_is_a_drawer() -> None:
    """A name says what is inside: none ends in a word that fits everything."""
    for file, tree in modules(HOUSE):
        names = [file.stem] + [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        names = [name for name in names if not name.startswith("_")]
        assert not [name for name in names if DRAWERS.fullmatch(last_word(name))], file


def test_packages_export_nothing() -> None:
    """An import names the module that it takes from: every __init__.py is empty."""
    assert [str(file) for file in HOUSE.rglob("__init__.py") if file.read_text().strip()] == []


def test_every_module_says_what_it_does() -> None:
    """Each module begins with a docstring."""
    silent = [str(file) for file, tree in modules(HOUSE) if file.name != "__init__.py" and not ast.get_docstring(tree)]
    assert [file for file in silent if "migrations" not in file] == []


def test_every_test_says_what_it_proves() -> None:
    """The docstring of a test is the sentence that it proves."""
    silent = [
        f"{file.relative_to(TOP)}:{node.name}"
        for file, tree in modules(TOP / "tests")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_no_path_of_one_machine_is_in_the_tree() -> None:
    """Nothing depends on where somebody keeps the project."""
    homes = r"work|farm|root|home/(?!me\b)\w+|Users/\w+"
    found = [
        f"{file.relative_to(TOP)}: {hit[0]}"
        for file, text in texts()
        if file.suffix != ".lock" and file != TOP / "LICENSE"
        for hit in re.finditer(rf"(?<![\w.}}])/({homes})/", text)
    ]
    assert found == []
