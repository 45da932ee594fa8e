"""Every error that mediasluice raises on purpose, named by what the caller must do about it.

    SluiceError                 what, which path, why, what to do next
    ├── UsageError              the call itself is wrong: say how it is meant
    ├── ConfigError             refuse to start, or keep the last good document
    │   ├── BadSetting          a value, a key or a pattern of the document
    │   ├── RootUnusable        a root that is missing, unreadable or not a directory
    │   ├── RootOverlap         a root inside another one
    │   ├── MissingExtra        an optional part that is not installed
    │   └── ForeignDatabase     a database that this version must not open for writing
    ├── FileError               one file: recorded on the file, the run goes on
    │   ├── Vanished
    │   ├── ChangedWhileReading
    │   └── Unreadable
    ├── HeldForReview           nothing was done; a person has to agree first
    ├── SinkRefused             a sink takes nothing until a person changes something, here or there
    └── Unavailable             nothing is wrong with the request: try again later
        ├── LockHeld            another process owns the data directory
        ├── ServiceGone         the service went away while it answered
        ├── SinkUnreachable     a sink does not answer, or not in time
        └── DiskFull            the catalogue's file system has no room

Exit codes are assigned in one table, ``cli/errors.py``.
"""

from __future__ import annotations


class SluiceError(Exception):
    """An error with everything a person needs to act on it.

    ``message`` says what failed and why; ``path`` which file or directory (as text, undecodable
    bytes as lone surrogates); ``hint`` what to do next.
    """

    def __init__(self, message: str, *, path: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.hint = hint

    def __str__(self) -> str:
        text = self.message if self.path is None else f"{self.path}: {self.message}"
        return text if self.hint is None else f"{text}\n  {self.hint}"


class UsageError(SluiceError):
    """The command or request cannot be understood as it was given."""


class ConfigError(SluiceError):
    """The configuration or the environment is not fit to start with."""


class BadSetting(ConfigError):
    """A value, key or pattern of the configuration document is not acceptable."""


class RootUnusable(ConfigError):
    """A root is missing, unreadable or not a directory."""


class RootOverlap(ConfigError):
    """One root lies inside another, by resolved path or by inode."""


class MissingExtra(ConfigError):
    """An optional part is asked for and not installed."""


class ForeignDatabase(ConfigError):
    """The database belongs to another program or to a newer version; it was not written to."""


class FileError(SluiceError):
    """Something about one file; the reason is recorded and the run goes on."""


class Vanished(FileError):
    """The file is not there any more."""


class ChangedWhileReading(FileError):
    """The file changed between the first and the last byte that was read."""


class Unreadable(FileError):
    """The file exists but the system refuses to give its bytes."""


class HeldForReview(SluiceError):
    """Nothing was done: what was found needs a person's agreement."""


class SinkRefused(SluiceError):
    """A sink is there and refuses us: credentials, rights, a setting. ``is_final``: it wants no call ever again."""

    def __init__(self, message: str, *, hint: str, path: str | None = None, is_final: bool = False) -> None:
        super().__init__(message, path=path, hint=hint)
        self.is_final = is_final


class Unavailable(SluiceError):
    """The request is fine; a resource is not there at the moment."""


class LockHeld(Unavailable):
    """Another process is the writer of this data directory; ``pid`` is its process id."""

    def __init__(self, message: str, *, pid: int, path: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, path=path, hint=hint)
        self.pid = pid


class ServiceGone(Unavailable):
    """The service closed the control connection before its answer was complete."""


class SinkUnreachable(Unavailable):
    """A sink does not answer, or not in time; what was under way is delivered again."""


class DiskFull(Unavailable):
    """The file system of the catalogue has no room left; nothing was committed half."""
