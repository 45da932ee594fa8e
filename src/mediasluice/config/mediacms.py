"""Make a document of the settings of MediaCMS' directory monitor, without running them.

Takes the path of a Python file; gives a plain nested mapping and what a person has to know about it. The file
is parsed and never executed: literals, arithmetic, joined text and names that were set before are followed,
everything else is reported with its line and left out. What the file does not say is left to the preset.
Fails with: BadSetting, with the line where a text is not Python.
Source: the monitor's own documentation; docs/cli.md, section `sluice config from-mediacms`.
"""

from __future__ import annotations

import ast
import math
import operator
import os
import posixpath
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from mediasluice.config import values
from mediasluice.errors import BadSetting

DIRS = "MEDIA_WATCH_DIRS"
USER = "MEDIA_WATCH_USER"
DEBOUNCE = "MEDIA_WATCH_DEBOUNCE_SECONDS"
EXTENSIONS = "MEDIA_WATCH_EXTENSIONS"
RECURSIVE = "MEDIA_WATCH_RECURSIVE"
STATE = "MEDIA_WATCH_DEFAULT_STATE"
MOVE = "MEDIA_WATCH_MOVE_AFTER_IMPORT"
PROCESSED = "MEDIA_WATCH_PROCESSED_DIR"
MAX_SIZE = "UPLOAD_MAX_SIZE"

UNSAID: Mapping[str, str] = {
    DIRS: "add its libraries by hand",
    USER: "add import.owner by hand",
    DEBOUNCE: "without debounce it is 5s",
    EXTENSIONS: "without include every video, audio file, image and PDF is taken",
    RECURSIVE: "without recursive the directories below are watched too",
    STATE: "without state imports are public",
    MOVE: "without after files stay where they are",
    PROCESSED: "files that are to be moved need import.processed_dir",
    MAX_SIZE: "without max_size the limit is 4096000000 bytes",
}
"""The settings that are read, and what their absence from the document means."""

STATES = ("public", "private", "unlisted")

_LONGEST_FILE = 4 << 20  # bytes, chosen: MediaCMS' own settings are 21 KB
_LONGEST = 1 << 16  # characters or items, chosen: above every path and list that a person writes
_LARGEST = 1 << 80  # chosen: above every size, small enough that no arithmetic takes long
_SHOWN = 60  # characters of an expression in a message


class Finding(NamedTuple):
    """Something to know about one setting; ``line`` is ``None`` where the file does not mention it."""

    setting: str
    line: int | None
    message: str


class Made(NamedTuple):
    """The document as far as it could be made. ``errors`` are what the monitor itself could not work with."""

    document: dict[str, Any]
    warnings: tuple[Finding, ...]
    errors: tuple[Finding, ...]


def read(path: Path) -> Made:
    """Read a settings file and make the document."""
    try:
        with path.open("rb") as file:
            source = file.read(_LONGEST_FILE + 1)
    except OSError as error:
        raise BadSetting(f"cannot be read: {error.strerror}", path=str(path)) from error
    if len(source) > _LONGEST_FILE:
        raise BadSetting("is larger than 4 MiB: this is no settings file", path=str(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on "\d": that is between the file and its own interpreter
            module = ast.parse(source)
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        raise BadSetting(f"{where}is not Python: {error.msg}", path=str(path)) from error
    except ValueError as error:  # a NUL character, before Python 3.12
        raise BadSetting(f"is not Python: {error}", path=str(path)) from error
    except (RecursionError, MemoryError) as error:
        raise _too_deep(path) from error
    try:
        return _made(_Module(module))
    except RecursionError as error:
        raise _too_deep(path) from error


def _too_deep(path: Path) -> BadSetting:
    return BadSetting("is nested too deeply to be read", path=str(path))


def written(document: Mapping[str, Any], comment: Iterable[str]) -> str:
    """Write a document as YAML below a comment; each line of the comment is printable text."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - 8 ms that a command without a document does not pay
    from ruamel.yaml.comments import CommentedSeq  # noqa: PLC0415

    def styled(value: object) -> object:
        if isinstance(value, Mapping):
            return {name: styled(below) for name, below in value.items()}
        if not isinstance(value, list):
            return value
        items = CommentedSeq(value)
        items.fa.set_flow_style()  # a list of patterns reads best in one line
        return items

    yaml = YAML()
    yaml.width = _LONGEST  # nothing is folded
    text = StringIO()
    yaml.dump(styled(document), text)
    return "".join(f"# {line}\n" for line in comment) + text.getvalue()


# -- what a file says, without running it ------------------------------------------------------------------


class _Known(NamedTuple):
    """``value`` may be a list or tuple of known and unclear items."""

    value: object
    line: int


class _Unclear(NamedTuple):
    """What only running would tell. ``before`` is the value that stands if this one is not taken."""

    why: str
    line: int
    before: _Known | None = None


class _Imported(NamedTuple):
    name: str
    line: int


_Binding = _Known | _Unclear | _Imported


class _NotConstantError(Exception):
    """An expression whose value only running would tell."""

    def __init__(self, node: ast.expr, why: str | None = None) -> None:
        super().__init__(why or f"{_quoted(node)} is only known when it runs")
        self.line = node.lineno


_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
}
_GROWING = (ast.Pow, ast.LShift)

_JOINS = frozenset({"os.path.join", "posixpath.join"})

_CHANGES = frozenset({"append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse"})
"""Methods that change a list in its place."""

_SETS_ANYTHING = frozenset({"exec", "globals", "locals", "vars"})
"""Functions by which a module can set names that it does not spell."""


class _Module:
    """The names of a module after its last statement.

    ``anything``: statements that may set names which this file does not spell, as line and text.
    ``shared``: values that may have several names. ``rebound``: names that a function may set, with the line where
    it says so.
    """

    def __init__(self, module: ast.Module) -> None:
        self.names: dict[str, _Binding] = {}
        self.anything: list[tuple[int, str]] = []
        self.shared: list[object] = []
        self.rebound = {
            name: node.lineno for node in ast.walk(module) if isinstance(node, ast.Global) for name in node.names
        }
        self._follow(module.body)

    def _follow(self, statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                self._assign(targets, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign([target], value)
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                self._add_to(node, name, op, value)
            case ast.If(test=test, body=body, orelse=orelse):
                self._look_inside([test])
                outcomes = [self._outcome(self.names, branch) for branch in (body, orelse)]
                self._merge(outcomes, node.lineno, f"depends on {_quoted(test, 'if')} in line {node.lineno}")
            case ast.Try():
                self._try(node)
            case ast.Import(names=aliases):
                for alias in aliases:
                    name = alias.name if alias.asname else alias.name.partition(".")[0]
                    self.names[alias.asname or name] = _Imported(name, node.lineno)
            case ast.ImportFrom():
                self._import_from(node)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                self._look_inside([node])
                self.names[name] = _Unclear("is defined by code", node.lineno)
            case _:
                self._perhaps(node)

    def _assign(self, targets: Sequence[ast.expr], value: ast.expr) -> None:
        bound = self._binding(value)
        self._look_inside([value, *targets])
        for target in targets:
            if isinstance(target, ast.Name):
                self.names[target.id] = bound
            else:
                for name in _stored(target):
                    self.names[name] = _Unclear("is unpacked from a list", target.lineno)

    def _add_to(self, node: ast.AugAssign, name: str, op: ast.operator, value: ast.expr) -> None:
        before = _stands(self.names.get(name))
        result = ast.BinOp(left=ast.Name(id=name, ctx=ast.Load()), op=op, right=value)
        ast.copy_location(result.left, node)
        bound = self._binding(ast.copy_location(result, node))
        self._look_inside([value])
        self._changed(name, node)  # a list grows in its place, under every name that it has
        if isinstance(bound, _Known):
            self.shared.append(bound.value)
        self.names[name] = bound._replace(before=before) if isinstance(bound, _Unclear) else bound

    def _import_from(self, node: ast.ImportFrom) -> None:
        module = "." * node.level + (node.module or "")
        for alias in node.names:
            if alias.name == "*":
                self._may_set_anything(node.lineno, f'"from {module} import *"')
            else:
                name = f"{module}{'' if module.endswith('.') else '.'}{alias.name}"
                self.names[alias.asname or alias.name] = _Imported(name, node.lineno)

    def _try(self, node: ast.Try) -> None:
        before = dict(self.names)
        self._follow([*node.body, *node.orelse])
        if node.handlers:
            why = f'depends on the "try" in line {node.lineno}'
            outcomes, self.names = [self.names], before
            failed = dict(before)
            for statement in node.body:
                for name in _stored(statement):
                    failed[name] = _Unclear(why, statement.lineno, _stands(before.get(name)))
            outcomes += [self._outcome(failed, handler.body) for handler in node.handlers]
            self._merge(outcomes, node.lineno, why)
        self._follow(node.finalbody)

    def _outcome(self, begin: Mapping[str, _Binding], statements: Iterable[ast.stmt]) -> dict[str, _Binding]:
        """Follow one of several ways without going it."""
        here, self.names = self.names, dict(begin)
        self._follow(statements)
        outcome, self.names = self.names, here
        return outcome

    def _merge(self, outcomes: Sequence[Mapping[str, _Binding]], line: int, why: str) -> None:
        """Keep what is the same whichever way is gone."""
        for name in {name: None for outcome in (self.names, *outcomes) for name in outcome}:
            first, *others = (outcome.get(name) for outcome in outcomes)
            now = self.names.get(name)
            if not all(_same(first, other) for other in others):
                set_there = [found for outcome in outcomes if (found := outcome.get(name)) and not _same(found, now)]
                self.names[name] = _Unclear(why, set_there[0].line if set_there else line, _stands(now))
            elif first is not None:
                self.names[name] = now if now is not None and _same(first, now) else first
            elif now is not None:
                del self.names[name]

    def _perhaps(self, node: ast.stmt) -> None:
        """Take note of what is not followed, such as a block that may run never, once or often."""
        why = f'depends on the "{type(node).__name__.removeprefix("Async").lower()}" in line {node.lineno}'
        for name in _stored(node):
            self.names[name] = _Unclear(why, node.lineno, _stands(self.names.get(name)))
        self._look_inside([node])
        for below in ast.walk(node):
            if isinstance(below, ast.ImportFrom):
                self._import_from(below)

    def _look_inside(self, nodes: Iterable[ast.AST]) -> None:
        """Notice what an expression does beside having a value."""
        inside = [below for top in nodes for below in ast.walk(top)]
        for node in inside:
            if isinstance(node, ast.Name) and (known := _stands(self.names.get(node.id))):
                self.shared.append(known.value)
        for node in inside:
            match node:
                case ast.Attribute(value=of, attr=attr) if attr in _CHANGES:
                    self._changed(of.id if isinstance(of, ast.Name) else None, node)
                case ast.Subscript(value=of, ctx=ast.Store() | ast.Del()):
                    self._changed(of.id if isinstance(of, ast.Name) else None, node)
                case ast.AugAssign(target=ast.Name(id=name)):
                    self._changed(name, node)
                case ast.NamedExpr(target=target):
                    self.names[target.id] = _Unclear("is set inside an expression", node.lineno)
                case ast.Call(func=ast.Name(id=name)) if name in _SETS_ANYTHING and name not in self.names:
                    self._may_set_anything(node.lineno, _quoted(node))

    def _changed(self, changed: str | None, node: ast.expr | ast.stmt) -> None:
        """Believe no longer in a list that is changed in its place, nor in the other names of it.

        Where it is not known which list that is, it may be any that was handed on before.
        """
        known = self.names.get(changed or "")
        lists = [known.value] if isinstance(known, _Known) else self.shared
        for name, other in self.names.items():
            if not isinstance(other, _Known) or not isinstance(other.value, list):
                continue
            if any(other.value is one for one in lists):
                self.names[name] = _Unclear(f"{_quoted(node)} changes the list", node.lineno, other)

    def _may_set_anything(self, line: int, what: str) -> None:
        self.anything.append((line, what))
        for name, known in self.names.items():
            if isinstance(known, _Known) and name not in UNSAID:  # settings: one warning for all of them
                self.names[name] = _Unclear(f"{name} may be changed by {what}", line)

    def _binding(self, node: ast.expr) -> _Binding:
        imported = self._imported(node)
        if imported is not None:
            return _Imported(imported, node.lineno)
        try:
            return _Known(self._value(node), node.lineno)
        except _NotConstantError as error:
            return _Unclear(str(error), error.line)

    def _imported(self, node: ast.expr) -> str | None:
        """Spell the full name of what an expression takes from a module."""
        if isinstance(node, ast.Name):
            bound = self.names.get(node.id)
            return bound.name if isinstance(bound, _Imported) else None
        if isinstance(node, ast.Attribute) and (of := self._imported(node.value)):
            return f"{of}.{node.attr}"
        return None

    def _value(self, node: ast.expr) -> object:
        match node:
            case ast.Constant(value=value):
                return _bounded(node, value)
            case ast.Name(id=name):
                return self._named(node, name)
            case ast.List(elts=items):
                return _bounded(node, list(islice(self._items(items), _LONGEST + 1)))
            case ast.Tuple(elts=items) | ast.Set(elts=items):
                return _bounded(node, tuple(islice(self._items(items), _LONGEST + 1)))
            case ast.JoinedStr(values=parts):
                return _bounded(node, "".join(self._part(part) for part in parts))
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
                number = self._value(operand)
                if isinstance(number, int | float):
                    return -number if isinstance(sign, ast.USub) else number
            case ast.BinOp():
                return self._calculated(node)
            case ast.Call(func=func, args=[_, *_] as args, keywords=[]) if self._imported(func) in _JOINS:
                return _bounded(node, posixpath.join(*[self._text(arg) for arg in args]))
        raise _NotConstantError(node)

    def _named(self, node: ast.expr, name: str) -> object:
        bound = self.names.get(name)
        if isinstance(bound, _Known):
            return bound.value
        if isinstance(bound, _Imported):
            raise _NotConstantError(node, f"{name} is imported from {bound.name.rpartition('.')[0] or bound.name}")
        if isinstance(bound, _Unclear):
            raise _NotConstantError(node, f"{name} is not known: line {bound.line}, {bound.why}")
        raise _NotConstantError(node, f"{name} is not set before in this file")

    def _items(self, nodes: Iterable[ast.expr]) -> Iterator[object]:
        """Give the items of a list; one that is not known stands in its place as such."""
        for node in nodes:
            try:
                value = self._value(node.value if isinstance(node, ast.Starred) else node)
                is_list = isinstance(value, list | tuple)
                if is_list != isinstance(node, ast.Starred):  # no setting has lists in its list
                    raise _NotConstantError(node, f"{_quoted(node)} is no text and no number")
                yield from value if isinstance(value, list | tuple) else (_Known(value, node.lineno),)
            except _NotConstantError as error:
                yield _Unclear(str(error), error.line)

    def _part(self, node: ast.expr) -> str:
        """Give one part of an f-string."""
        if isinstance(node, ast.FormattedValue) and node.conversion == -1 and node.format_spec is None:
            value = self._value(node.value)
            if isinstance(value, str | int):
                return str(value)
            raise _NotConstantError(node.value)
        return self._text(node)

    def _text(self, node: ast.expr) -> str:
        value = self._value(node)
        if not isinstance(value, str):
            raise _NotConstantError(node)
        return value

    def _calculated(self, node: ast.BinOp) -> object:
        left, right = self._value(node.left), self._value(node.right)
        calculate = _ARITHMETIC.get(type(node.op))
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        joined = isinstance(node.op, ast.Add) and isinstance(left, str | list | tuple) and type(left) is type(right)
        if calculate is None or not (numbers or joined):
            raise _NotConstantError(node)
        if isinstance(node.op, _GROWING) and not (isinstance(right, int) and 0 <= right <= 64):
            raise _NotConstantError(node)
        try:
            return _bounded(node, calculate(left, right))
        except (ArithmeticError, TypeError, ValueError):
            raise _NotConstantError(node, f"{_quoted(node)} cannot be calculated") from None


def _bounded(node: ast.expr, value: object) -> object:
    """Refuse what grows beyond all reason, so that reading a file always ends."""
    small = len(value) <= _LONGEST if isinstance(value, str | list | tuple) else True
    if small and (not isinstance(value, int | float) or abs(value) <= _LARGEST):
        return value
    raise _NotConstantError(node, f"{_quoted(node)} is too large")


def _stored(node: ast.AST) -> Iterator[str]:
    """Name what a block may set."""
    for below in ast.walk(node):
        match below:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.alias(name=name, asname=other) if name != "*":
                yield other or name.partition(".")[0]
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name


def _same(one: _Binding | None, other: _Binding | None) -> bool:
    if isinstance(one, _Known) and isinstance(other, _Known):
        return repr(_bare(one.value)) == repr(_bare(other.value))  # 1, 1.0 and True are not the same
    return one == other


def _bare(value: object) -> object:
    """Give a value as Python would have it, without the lines of its items."""
    if not isinstance(value, list | tuple):
        return value
    items = [item.value if isinstance(item, _Known) else item for item in value]
    return items if isinstance(value, list) else tuple(items)


def _stands(bound: _Binding | None) -> _Known | None:
    """Name the value that stands when a later one is not taken."""
    if isinstance(bound, _Unclear):
        return bound.before
    return bound if isinstance(bound, _Known) else None


def _quoted(node: ast.AST, word: str = "") -> str:
    try:
        text = " ".join(f"{word} {ast.unparse(node)}".split())
    except ValueError:  # a number of thousands of digits
        text = f"{word} ...".lstrip()
    return f'"{text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."}"'


# -- what that means in a document -------------------------------------------------------------------------


class _Findings:
    """The settings of a module, each asked for once, and what is to be said about them."""

    def __init__(self, module: _Module) -> None:
        self.module = module
        self.warnings: list[Finding] = []
        self.errors: list[Finding] = []

    def take(self, setting: str) -> _Known | None:
        """Give the value of a setting as far as it is known."""
        bound = self.module.names.get(setting)
        if setting in self.module.rebound:
            self.warn(setting, self.module.rebound[setting], "a function may set it anew")
        if isinstance(bound, _Unclear):
            stays = f"the value of line {bound.before.line} is" if bound.before else UNSAID[setting]
            self.warn(setting, bound.line, f"{bound.why}, not taken; {stays}{' taken' if bound.before else ''}")
        elif isinstance(bound, _Imported):
            self.warn(setting, bound.line, f"is imported as {bound.name}, not taken; {UNSAID[setting]}")
        return _stands(bound)

    def is_known_missing(self, setting: str) -> bool:
        """Say whether the file leaves a setting out, or says nothing by it."""
        bound = self.module.names.get(setting)
        return bound is None or (isinstance(bound, _Known) and bound.value in (None, "", [], ()))

    def warn(self, setting: str, line: int, message: str) -> None:
        finding = Finding(setting, line, message)
        if finding not in self.warnings:  # two items of one line may be unclear for one reason
            self.warnings.append(finding)

    def fail(self, setting: str, line: int | None, message: str) -> None:
        self.errors.append(Finding(setting, line, message))

    def line(self, setting: str) -> int | None:
        bound = self.module.names.get(setting)
        return bound.line if bound else None


def _made(module: _Module) -> Made:
    found = _Findings(module)
    recursive = _switch(found, RECURSIVE)
    paths = _paths(found, is_recursive=recursive is not False)
    rules = {
        "recursive": recursive,
        "include": _include(found),
        "debounce": _debounce(found),
        "import": _import(found),
    }
    said = {key: value for key, value in rules.items() if value is not None}
    libraries = {name: {"path": path, **said} for name, path in zip(_library_names(paths), paths, strict=True)}
    for line, what in module.anything:
        found.warn("MEDIA_WATCH_*", line, f"{what} may set any of the settings, and is not followed")
    return Made(
        {"preset": "mediacms", "libraries": libraries},
        tuple(sorted(found.warnings, key=lambda finding: finding.line or 0)),
        tuple(found.errors),
    )


def _paths(found: _Findings, *, is_recursive: bool) -> list[str]:
    """Give the directories that become libraries, in the order of the file."""
    known = found.take(DIRS)
    if found.is_known_missing(DIRS):
        found.fail(DIRS, found.line(DIRS), "is not set or empty: name the directories to watch")
        return []
    if known is None:
        return []
    if not isinstance(known.value, list | tuple):
        found.fail(DIRS, known.line, f"{_short(known.value)} is not a list of directories")
        return []
    paths: dict[str, int] = {}
    for item in known.value:
        if isinstance(item, _Unclear):
            found.warn(DIRS, item.line, f"{item.why}, not taken; {UNSAID[DIRS]}")
        elif path := _path(found, DIRS, item):
            if path in paths:
                found.warn(DIRS, item.line, f"{path!r} is named twice, taken once")
            else:
                paths[path] = item.line
    for path, line in tuple(paths.items()):
        if _is_covered(found, line, path, paths, is_recursive=is_recursive):
            del paths[path]
    return list(paths)


def _path(found: _Findings, setting: str, known: _Known) -> str | None:
    """Read an absolute directory; another one is reported, because where it leads depends on who runs it."""
    if not isinstance(known.value, str):
        found.fail(setting, known.line, f"{_short(known.value)} is not a directory")
        return None
    try:
        return os.fsdecode(values.root_path(known.value))
    except UnicodeEncodeError:
        found.fail(setting, known.line, f"{_short(known.value)} holds characters that no file name has")
    except ValueError as error:
        found.warn(setting, known.line, f"{error}; not taken")
    return None


def _is_covered(found: _Findings, line: int, path: str, paths: Iterable[str], *, is_recursive: bool) -> bool:
    """Say whether a directory is watched already with one above it; one root inside another is refused here."""
    above = next((other for other in paths if other != path and path.startswith(os.path.join(other, ""))), None)
    if above is None:
        return False
    told = "which watches it too; taken once" if is_recursive else "and one root inside another is refused here"
    found.warn(DIRS, line, f"{path!r} lies inside {above!r}, {told}")
    return is_recursive


def _library_names(paths: Iterable[str]) -> Iterator[str]:
    """Call each library after the last part of its path; upper and lower case alike in the environment."""
    taken: set[str] = set()
    for path in paths:
        base = re.sub(r"[\W_]+", "-", os.path.basename(path)).strip("-") or "library"
        name, number = base, 1
        while name.lower() in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name.lower())
        yield name


def _include(found: _Findings) -> list[str] | None:
    known = found.take(EXTENSIONS)
    if known is None or found.is_known_missing(EXTENSIONS):
        return None
    if not isinstance(known.value, list | tuple):
        found.fail(EXTENSIONS, known.line, f"{_short(known.value)} is not a list of extensions")
        return None
    patterns: list[str] = []
    for item in known.value:
        if isinstance(item, _Unclear):
            found.warn(EXTENSIONS, item.line, f"{item.why}, not taken")
            continue
        extension = item.value
        try:
            (dotted,) = values.extensions([extension])
            (pattern,) = values.globs([f"*{dotted}"])
        except ValueError:
            found.fail(EXTENSIONS, item.line, f"{_short(extension)} is not an extension; write it like .mp4")
            continue
        if not str(extension).startswith("."):
            told = f"{extension!r} has no dot, which MediaCMS never matches; taken as {pattern}"
            found.warn(EXTENSIONS, item.line, told)
        if pattern not in patterns:
            patterns.append(pattern)
    return patterns or None


def _debounce(found: _Findings) -> str | None:
    known = found.take(DEBOUNCE)
    if known is None:
        return None
    seconds = _number(known.value)
    if seconds is None:
        found.fail(DEBOUNCE, known.line, f"{_short(known.value)} is not a number of seconds")
        return None
    return values.duration_text(round(float(seconds), 3))


def _import(found: _Findings) -> dict[str, object] | None:
    rules: dict[str, object] = {
        "owner": _owner(found),
        "state": _state(found),
        **dict(_after(found)),
        "max_size": _max_size(found),
    }
    return {key: value for key, value in rules.items() if value is not None} or None


def _owner(found: _Findings) -> str | None:
    known = found.take(USER)
    if found.is_known_missing(USER):
        found.fail(USER, found.line(USER), "is not set or empty: name the user who will own the imports")
    elif known is not None:
        if isinstance(known.value, str) and known.value.strip() and known.value.isprintable():
            return known.value
        found.fail(USER, known.line, f"{_short(known.value)} is not the name of a user")
    return None


def _state(found: _Findings) -> str | None:
    known = found.take(STATE)
    if known is None:
        return None
    if known.value not in STATES:
        found.fail(STATE, known.line, f"{_short(known.value)} is not one of {', '.join(STATES)}")
        return None
    return str(known.value)


def _after(found: _Findings) -> Iterator[tuple[str, object]]:
    moves = _switch(found, MOVE)
    known = found.take(PROCESSED)
    if moves is not None:
        yield "after", "move" if moves else "keep"
    if found.is_known_missing(PROCESSED):
        if moves:
            found.fail(MOVE, found.line(MOVE), f"is on, and {PROCESSED} does not say where to")
    elif known is not None and (moves or (moves is None and not found.is_known_missing(MOVE))):
        yield "processed_dir", _path(found, PROCESSED, known)


def _max_size(found: _Findings) -> int | str | None:
    known = found.take(MAX_SIZE)
    if known is None:
        return None
    limit = _number(known.value)
    if limit is None:
        found.fail(MAX_SIZE, known.line, f"{_short(known.value)} is not a number of bytes")
        return None
    size = math.floor(limit)
    text = values.size_text(size)
    return size if text == str(size) else text


def _switch(found: _Findings, setting: str) -> bool | None:
    known = found.take(setting)
    if known is None:
        return None
    if not isinstance(known.value, int) or known.value not in (0, 1):
        found.fail(setting, known.line, f"{_short(known.value)} is neither True nor False")
        return None
    return bool(known.value)


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None


def _short(value: object) -> str:
    shown = repr(_bare(value))
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."
