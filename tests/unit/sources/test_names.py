from __future__ import annotations

import os
from pathlib import Path

import pytest

from mediasluice.errors import BadSetting
from mediasluice.sources.names import NameRules


def rules_of(root: Path, *, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> NameRules:
    return NameRules(os.fsencode(root), include=include, exclude=exclude)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        (b".DS_Store", "built-in: .DS_Store"),
        (b"THUMBS.DB", "built-in: Thumbs.db"),
        (b"._IMG_1.jpg", "built-in: ._*"),
        (b".nfs0000001", "built-in: .nfs*"),
        (b".syncthing.a.jpg.tmp", "built-in: .syncthing.*"),
        (b".goutputstream-ABC", "built-in: .goutputstream-*"),
        (b".sluice-12.part", "built-in: .sluice-*"),
        (b".sluiceignore", "built-in: .sluiceignore"),
        (b"IMG_1.jpg", None),
        (b"movie.mkv.part", None),
        (b"_UNPACK_show", None),
        (b"photo.sync-conflict-20240101.jpg", None),
        (b"caf\xe9.jpg", None),
    ],
)
def test_the_built_in_list(name: bytes, rule: str | None, tmp_path: Path) -> None:
    """Names of systems and tools are ignored in any case; unfinished and junk names are not, other rooms judge them."""
    assert rules_of(tmp_path).file(b"a/b", name) == rule


def test_a_skipped_directory_skips_what_is_below(tmp_path: Path) -> None:
    """A directory below a skipped one is skipped by the same rule, as are its files."""
    rules = rules_of(tmp_path)
    assert rules.directory(b"nas/@eaDir/x/y") == "built-in: @eaDir"
    assert rules.file(b"nas/@eaDir/x", b"a.jpg") == "built-in: @eaDir"
    assert rules.directory(b"nas/photos") is None
    assert rules.directory(b"") is None


def test_thousands_of_levels(tmp_path: Path) -> None:
    """A path is judged however many levels it has."""
    deep = b"/".join([b"a"] * 5_000)
    rules = rules_of(tmp_path)
    assert rules.directory(deep) is None
    assert rules.directory(deep + b"/.Trashes/x") == "built-in: .Trashes"


def test_exclude_is_gitignore(tmp_path: Path) -> None:
    """Patterns of the library follow gitignore: anchored by a slash, directories by a trailing one, negation last."""
    rules = rules_of(tmp_path, exclude=("*.bak", "!keep.bak", "/raw/cache/", "tmp[0-9]"))
    assert rules.file(b"x", b"a.bak") == "exclude: *.bak"
    assert rules.file(b"x", b"keep.bak") is None
    assert rules.directory(b"raw/cache") == "exclude: /raw/cache/"
    assert rules.file(b"raw", b"cache") is None
    assert rules.directory(b"x/raw/cache") is None
    assert rules.directory(b"x/tmp7") == "exclude: tmp[0-9]"


def test_a_negation_takes_back_the_built_in_list_but_not_our_own_names(tmp_path: Path) -> None:
    """A user may want desktop.ini; nobody wants our own temporary files."""
    rules = rules_of(tmp_path, exclude=("!desktop.ini", "!.sluice-*"))
    assert rules.file(b"", b"desktop.ini") is None
    assert rules.file(b"", b".sluice-1.part") == "built-in: .sluice-*"


@pytest.mark.parametrize("pattern", ["", "   ", "# nothing", "!", "[z", "foo\\"])
def test_a_pattern_that_means_nothing_is_refused(pattern: str, tmp_path: Path) -> None:
    """A faulty pattern of the library is said at the start, not ignored."""
    with pytest.raises(BadSetting, match="is not a pattern"):
        rules_of(tmp_path, exclude=("*.bak", pattern))


def test_an_empty_include_is_refused(tmp_path: Path) -> None:
    """An include pattern that could match nothing is said at the start."""
    with pytest.raises(BadSetting, match="empty"):
        rules_of(tmp_path, include=("",))


def test_include_by_name_and_by_path(tmp_path: Path) -> None:
    """Include globs are for files only, in any case, on the name or, with a slash, on the path."""
    rules = rules_of(tmp_path, include=("*.JPG", "Raw/*.dng", "clips/**/*.mov", "*.mö?"))
    assert rules.file(b"any/where", b"a.jpg") is None
    assert rules.file(b"raw", b"a.DNG") is None
    assert rules.file(b"raw/deep", b"a.dng") is not None
    assert rules.file(b"x/raw", b"a.dng") is not None
    assert rules.file(b"clips/a/b", b"c.MOV") is None
    assert rules.file(b"x", "film.MÖV".encode()) is None
    assert rules.file(b"x", b"a.txt") == "not in include: *.JPG, Raw/*.dng, clips/**/*.mov, *.mö?"
    assert rules.directory(b"x") is None
    assert rules.file(b"x", b".DS_Store") == "built-in: .DS_Store"


def test_not_recursive(tmp_path: Path) -> None:
    """Without recursion no directory is entered."""
    rules = NameRules(os.fsencode(tmp_path), recursive=False)
    assert rules.directory(b"a") == "recursive: false"
    assert rules.file(b"", b"a.jpg") is None


def test_our_own_directories_and_files(tmp_path: Path) -> None:
    """What belongs to the service itself is never looked at, wherever it lies in the root."""
    root = os.fsencode(tmp_path)
    rules = NameRules(root, own=(root + b"/state/data", root + b"/catalogue.db", b"/elsewhere", root))
    assert rules.directory(b"state/data/x") == "belongs to mediasluice itself"
    assert rules.directory(b"state") is None
    assert rules.file(b"", b"catalogue.db") == "belongs to mediasluice itself"
    assert rules.file(b"x", b"catalogue.db") is None


def test_ignore_files_nest(tmp_path: Path) -> None:
    """A .sluiceignore counts from its own directory down; the deeper one has the last word."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / ".sluiceignore").write_text("*.log\n# a comment\n\n/a/secret/\n")
    (tmp_path / "a" / "b" / ".sluiceignore").write_text("!keep.log\n/only-here.jpg\n")
    rules = rules_of(tmp_path)
    assert rules.file(b"a", b"x.log") == ".sluiceignore: *.log"
    assert rules.file(b"a/b", b"keep.log") is None
    assert rules.file(b"a/b/c", b"keep.log") is None
    assert rules.file(b"a", b"keep.log") == ".sluiceignore: *.log"
    assert rules.file(b"a/b", b"only-here.jpg") == "a/b/.sluiceignore: /only-here.jpg"
    assert rules.file(b"a/b/c", b"only-here.jpg") is None
    assert rules.directory(b"a/secret/x") == ".sluiceignore: /a/secret/"
    assert rules.depends_on_paths
    assert not rules.problems


def test_a_faulty_ignore_file_is_said_and_its_other_lines_count(tmp_path: Path) -> None:
    """A line that is no pattern is named; nothing else is lost."""
    (tmp_path / ".sluiceignore").write_text("[z\n*.log\n")
    rules = rules_of(tmp_path)
    assert rules.file(b"", b"x.log") == ".sluiceignore: *.log"
    assert rules.problems == {b"": ".sluiceignore, line 1: '[z' is not a pattern"}


def test_an_ignore_file_that_is_none(tmp_path: Path) -> None:
    """A FIFO of that name is never waited for."""
    os.mkfifo(tmp_path / ".sluiceignore")
    rules = rules_of(tmp_path)
    assert rules.file(b"", b"x.log") is None
    assert rules.problems == {b"": ".sluiceignore is not a regular file"}


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """Latin-1 names and names with a newline match as other names do, and only the patterns that mean them."""
    rules = rules_of(tmp_path, exclude=("*.bak", "foo"))
    assert rules.file(b"caf\xe9", b"\xff.bak") == "exclude: *.bak"
    assert rules.file(b"x", b"foo\n") is None
    assert rules.file(b"a\nb", b"foo") == "exclude: foo"


def test_the_fingerprint_follows_every_rule(tmp_path: Path) -> None:
    """The fingerprint changes with each setting and with each ignore file up the tree, and with nothing else."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    plain = rules_of(tmp_path)
    before = plain.fingerprint(b"a/b")
    assert rules_of(tmp_path).fingerprint(b"a/b") == before
    assert plain.fingerprint(b"x") == before
    others = [rules_of(tmp_path, include=("*.jpg",)), rules_of(tmp_path, exclude=("*.jpg",))]
    others.append(NameRules(os.fsencode(tmp_path), recursive=False))
    assert len({before, *(rules.fingerprint(b"a/b") for rules in others)}) == 4
    (tmp_path / "a" / ".sluiceignore").write_text("*.log\n")
    plain.refresh(b"a")
    assert plain.fingerprint(b"a/b") != before
    assert plain.fingerprint(b"") == before
    (tmp_path / "a" / ".sluiceignore").unlink()
    plain.refresh(b"a")
    assert plain.fingerprint(b"a/b") == before


def test_ignored_says_the_same_as_file(tmp_path: Path) -> None:
    """A whole listing is judged as its names would be one by one."""
    names = [b"a.jpg", b".DS_Store", b"b.bak", b"._c"]
    for rules in (rules_of(tmp_path), rules_of(tmp_path, exclude=("*.bak",)), rules_of(tmp_path, include=("*.jpg",))):
        assert rules.ignored(b"d", names) == [name for name in names if rules.file(b"d", name) is not None]


def test_a_pattern_that_would_take_for_ever_is_refused(tmp_path: Path) -> None:
    """Each asterisk multiplies what a long name costs: too many are a problem of the ignore file or the document."""
    evil = "*a" * 9 + "*b"
    (tmp_path / ".sluiceignore").write_text(f"{evil}\n*.x\n")
    rules = NameRules(os.fsencode(tmp_path))
    assert rules.file(b"", b"a" * 200) is None
    assert rules.file(b"", b"1.x") is not None
    assert "asterisks" in rules.problems[b""]
    with pytest.raises(BadSetting, match="not a pattern"):
        NameRules(os.fsencode(tmp_path), exclude=(evil,))
