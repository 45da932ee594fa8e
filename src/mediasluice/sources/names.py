"""Decide by name alone which directories are not entered and which files are ignored.

Takes the built-in list, a library's ``include`` and ``exclude`` patterns and the ``.sluiceignore`` files in the tree
(gitignore syntax, per directory, the deeper one wins); gives the text of the rule that applies, or ``None``.
Fails with: ``BadSetting`` for a pattern of the library; what is wrong with a ``.sluiceignore`` is in ``problems``.
Order: our own files; ``.sluiceignore`` from the deepest up; ``exclude``; the built-in list; ``include``. A negated
pattern (``!desktop.ini``) takes back the rules that come after it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from fnmatch import translate
from typing import TYPE_CHECKING, Literal, NamedTuple

from xxhash import xxh3_64_digest

from mediasluice.errors import BadSetting
from mediasluice.model.paths import join, split, text
from mediasluice.sources.opening import GONE, open_file

if TYPE_CHECKING:
    import pathspec

IGNORE_FILE = b".sluiceignore"

RESERVED = (".sluiceignore", ".sluice-*")
"""Our own names: no pattern takes them back."""

BUILT_IN = (
    # Syncthing
    ".stfolder",
    ".stversions",
    ".syncthing.*",
    "~syncthing~*",
    # macOS
    "._*",
    ".DS_Store",
    ".AppleDouble",
    "__MACOSX",
    ".Spotlight-V100",
    ".Trashes",
    ".fseventsd",
    ".TemporaryItems",
    ".localized",
    # Windows
    "Thumbs.db",
    "desktop.ini",
    "$RECYCLE.BIN",
    "System Volume Information",
    # NAS firmware and snapshots
    "@eaDir",
    "eaDir",
    "#recycle",
    "#snapshot",
    "@Recycle",
    ".@__thumb",
    ".snapshot",
    ".snapshots",
    "lost+found",
    # placeholders of file systems and desktops
    ".nfs*",
    ".goutputstream-*",
    ".smbdelete*",
)
"""Names that are never media, whole or with a ``*`` at the end; upper and lower case alike."""

_ALWAYS = RESERVED + BUILT_IN
_WHOLE = frozenset(os.fsencode(name.lower()) for name in _ALWAYS if not name.endswith("*"))
_BEGINNINGS = tuple(os.fsencode(name[:-1].lower()) for name in _ALWAYS if name.endswith("*"))

_SCOPES = 4096  # chosen: a walk needs one per level and one per directory that is busy at the moment
STARS = 4  # in one part of a pattern; each more multiplies the time that a name of 255 bytes may take by fifty
_IGNORE_FILE_BYTES = 1 << 20  # chosen: longer is no list that a person wrote


class FileKey(NamedTuple):
    """What tells one version of an ignore file from the next."""

    size: int
    mtime_ns: int
    ctime_ns: int


class _Patterns:
    """One list of gitignore patterns and the directory that it is relative to."""

    __slots__ = ("_base", "_lines", "_prefix", "_spec")

    def __init__(self, base: bytes, label: str, spec: pathspec.GitIgnoreSpec, lines: Sequence[str]) -> None:
        self._base = len(base) + 1 if base else 0
        self._prefix = label
        self._spec = spec
        self._lines = lines

    def verdict(self, path: bytes, *, directory: bool = False) -> str | Literal[False] | None:
        """The rule's text; ``False`` when a negated pattern keeps the path; ``None`` when nothing matches."""
        found = self._spec.check_file(_readable(path[self._base :]) + ("/" if directory else ""))
        if found.include is None or found.index is None:
            return None
        return f"{self._prefix}: {self._lines[found.index]}" if found.include else False


class _Scope(NamedTuple):
    """What applies to everything directly inside one directory; shared by directories without a list of their own."""

    patterns: tuple[_Patterns, ...]  # the deepest first
    fingerprint: bytes  # 8 bytes
    skipped: str | None  # the rule by which this directory is not entered at all


class NameRules:
    """The name rules of one root. Safe to use from several threads: its tables are caches of what is on disk.

    ``own`` are absolute paths of our own files and directories (the data directory, a trash); those inside the root are
    never looked at. Ignore files are read when their directory is first asked about; a change is noticed by
    :meth:`refresh` or :meth:`saw`, so a process that lists only parts of a tree takes new rules for each pass.
    """

    def __init__(
        self,
        root: bytes,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        recursive: bool = True,
        own: Sequence[bytes] = (),
    ) -> None:
        self._root = root
        self._recursive = recursive
        above = root.rstrip(b"/") + b"/"
        self._own = tuple(path.removeprefix(above).rstrip(b"/") for path in own if path.startswith(above))
        self._include = _Include(include) if include else None
        lists = (_compile(b"", "exclude", exclude),) if exclude else ()
        settings = repr((_ALWAYS, recursive, tuple(include), tuple(exclude), self._own))
        self._outermost = _Scope(lists, xxh3_64_digest(settings.encode("utf-8", "surrogateescape")), None)
        self._by_name_only = not (self._own or include or exclude)
        self._path_patterns = bool(self._own) or any("/" in line.rstrip("/") for line in (*include, *exclude))
        self._scopes: dict[bytes, _Scope] = {}
        self._ignore_files: dict[bytes, FileKey] = {}  # by directory
        self.problems: dict[bytes, str] = {}  # by directory: what is wrong with its ignore file

    def directory(self, directory: bytes) -> str | None:
        """The rule by which ``directory`` is not entered, also when it applies to a directory above."""
        if not directory:
            return None
        above, name = split(directory)
        return self._directory(self._scope(above), directory, name)

    def file(self, directory: bytes, name: bytes) -> str | None:
        """The rule by which the file is ignored."""
        scope = self._scopes.get(directory) or self._scope(directory)
        if self._by_name_only and not scope.patterns and scope.skipped is None:
            folded = name.lower()
            return _built_in(folded) if folded in _WHOLE or folded.startswith(_BEGINNINGS) else None
        return scope.skipped or self._judge(scope, join(directory, name), name, is_directory=False)

    def ignored(self, directory: bytes, names: Iterable[bytes]) -> list[bytes]:
        """Those of ``names`` that are ignored; :meth:`file` for a whole listing at a third of the cost."""
        scope = self._scope(directory)
        if self._by_name_only and not scope.patterns and scope.skipped is None:
            whole, beginnings = _WHOLE, _BEGINNINGS
            return [name for name in names if (low := name.lower()) in whole or low.startswith(beginnings)]
        return [name for name in names if self.file(directory, name) is not None]

    def fingerprint(self, directory: bytes) -> bytes:
        """8 bytes that differ whenever a rule that applies to files of this directory differs."""
        return self._scope(directory).fingerprint

    @property
    def depends_on_paths(self) -> bool:
        """Whether a directory that is renamed may fall under other rules than before."""
        return self._path_patterns or bool(self._ignore_files)

    def refresh(self, directory: bytes) -> None:
        """Read the ignore file of ``directory`` again: it came, went or changed."""
        self._scopes.clear()
        self._scope(directory)

    def forget(self, directory: bytes) -> None:
        """A directory was renamed or removed, or another one came to its place."""
        if self._ignore_files:
            self._scopes.clear()
        else:
            self._scopes.pop(directory, None)

    def saw(self, directory: bytes, ignore_file: FileKey | None) -> None:
        """A listing found this ignore file, or none: read it again if that is not the one we know."""
        if ignore_file is None and directory and directory not in self._scopes:
            # The listing saw that there is none: spare the attempt to open it.
            above = self._scope(split(directory)[0])
            self._scopes[directory] = self._scope_of(directory, above, has_list=False)
        self._scope(directory)
        if self._ignore_files.get(directory) != ignore_file:
            self.refresh(directory)

    def _scope(self, directory: bytes) -> _Scope:
        scope = self._scopes.get(directory)
        if scope is not None:
            return scope
        # Not by recursion: a path may have thousands of levels.
        missing = []
        here = directory
        while scope is None:
            missing.append(here)
            if not here:
                break
            here = split(here)[0]
            scope = self._scopes.get(here)
        if len(self._scopes) > _SCOPES:
            self._scopes.clear()
        for here in reversed(missing):
            scope = self._scope_of(here, scope)
            self._scopes[here] = scope
        assert scope is not None
        return scope

    def _scope_of(self, directory: bytes, above: _Scope | None, *, has_list: bool = True) -> _Scope:
        outer = above or self._outermost
        if directory:
            rule = self._directory(outer, directory, split(directory)[1])
            if rule is not None:
                return outer if outer.skipped else _Scope((), outer.fingerprint, rule)
        if not has_list:
            self._ignore_files.pop(directory, None)
            return outer
        lines = self._read_ignore_file(directory)
        if lines is None:
            return outer
        label = text(join(directory, IGNORE_FILE))
        patterns = _compile(directory, label, lines, problems=self.problems)
        written = directory + b"\0" + "\n".join(lines).encode("utf-8", "surrogateescape")
        return _Scope((patterns, *outer.patterns), xxh3_64_digest(outer.fingerprint + written), None)

    def _directory(self, scope: _Scope, directory: bytes, name: bytes) -> str | None:
        """Judge ``directory`` by the scope of the directory above it."""
        if scope.skipped is not None:
            return scope.skipped
        if not self._recursive:
            return "recursive: false"
        return self._judge(scope, directory, name, is_directory=True)

    def _judge(self, scope: _Scope, path: bytes, name: bytes, *, is_directory: bool) -> str | None:
        rule = None
        folded = name.lower()
        if folded in _WHOLE or folded.startswith(_BEGINNINGS):
            rule = _built_in(folded)
            if folded.startswith(b".sluice"):
                return rule
        if path in self._own:
            return "belongs to mediasluice itself"
        for patterns in scope.patterns:
            verdict = patterns.verdict(path, directory=is_directory)
            if verdict is not None:
                rule = verdict or None
                break
        if rule is not None or is_directory or self._include is None:
            return rule
        return self._include.verdict(path, name)

    def _read_ignore_file(self, directory: bytes) -> list[str] | None:
        self.problems.pop(directory, None)
        try:
            descriptor = open_file(self._root, directory, IGNORE_FILE)
        except OSError as error:
            self._ignore_files.pop(directory, None)
            if error.errno not in GONE:
                self.problems[directory] = f"{text(IGNORE_FILE)} cannot be read: {error.strerror}"
            return None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                self._ignore_files.pop(directory, None)
                self.problems[directory] = f"{text(IGNORE_FILE)} is not a regular file"
                return None
            self._ignore_files[directory] = FileKey(status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if status.st_size > _IGNORE_FILE_BYTES:
                self.problems[directory] = f"{text(IGNORE_FILE)} is longer than {_IGNORE_FILE_BYTES} bytes"
                return None
            content = os.read(descriptor, _IGNORE_FILE_BYTES)
        except OSError as error:
            self.problems[directory] = f"{text(IGNORE_FILE)} cannot be read: {error.strerror}"
            return None
        finally:
            os.close(descriptor)
        return os.fsdecode(content).removeprefix("\ufeff").splitlines()


class _Include:
    """The names that a library wants: globs on the name, or on the path where the glob has a slash; any case."""

    def __init__(self, globs: Sequence[str]) -> None:
        if not all(globs):
            raise BadSetting("include: an empty pattern matches nothing", hint="remove it, or write '*'")
        self._text = f"not in include: {', '.join(globs)}"
        on_name = [translate(glob) for glob in globs if "/" not in glob]
        self._name = re.compile("|".join(on_name), re.IGNORECASE) if on_name else None
        on_path = ["/" + glob.lower().lstrip("/") for glob in globs if "/" in glob]
        self._path = _compile(b"", "include", on_path) if on_path else None

    def verdict(self, path: bytes, name: bytes) -> str | None:
        if self._name is not None and self._name.match(text(name)):
            return None
        if self._path is not None and self._path.verdict(os.fsencode(text(path).lower())):
            return None
        return self._text


def _compile(base: bytes, label: str, lines: Sequence[str], *, problems: dict[bytes, str] | None = None) -> _Patterns:
    """Compile gitignore lines. A faulty one is an entry of ``problems``, or ``BadSetting`` where there is none."""
    # Imported here: 30 ms that a library without patterns of its own does not pay.
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - as it says

    usable = []
    for at, line in enumerate(lines):
        if problems is not None and (not line.strip() or line.startswith("#")):
            continue
        try:
            means_something = any(pattern.include is not None for pattern in GitIgnoreSpec.from_lines([line]).patterns)
        except ValueError:
            means_something = False
        if means_something and max(part.count("*") for part in line.split("/")) <= STARS:
            usable.append(line)
        elif problems is None:
            hint = f"at most {STARS} asterisks between two slashes" if means_something else None
            hint = "begin it with a backslash to mean the character '#'" if line.startswith("#") else hint
            raise BadSetting(f"{label}: {line!r} is not a pattern", hint=hint)
        else:
            why = f"has more than {STARS} asterisks between two slashes" if means_something else "is not a pattern"
            problems[base] = f"{text(IGNORE_FILE)}, line {at + 1}: {line!r} {why}"
    return _Patterns(base, label, GitIgnoreSpec.from_lines(usable), usable)


def _readable(path: bytes) -> str:
    """Text for patterns. A newline would end a pattern's ``$`` and stop its ``.``: it becomes a lone surrogate."""
    return text(path).replace("\n", "\udc0a")


def _built_in(folded: bytes) -> str:
    for name in _ALWAYS:
        known = os.fsencode(name.lower())
        if folded == known or (known.endswith(b"*") and folded.startswith(known[:-1])):
            return f"built-in: {name}"
    raise AssertionError(folded)
