"""Every key of the configuration document, its default and its limits; one frozen value when all is valid.

Takes nested mappings of plain values (``Settings.model_validate``). Gives durations in seconds, sizes in
bytes, paths as bytes. Fails with pydantic's ValidationError, which ``config.layers`` turns into BadSetting.
The rooms below never see this: they get ``Library`` and ``Rules`` of the model. Source: docs/settings.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails

from mediasluice.config import values
from mediasluice.config.fields import (
    BUILT_IN,
    Duration,
    Extensions,
    Globs,
    Hours,
    Ignores,
    Interval,
    JunkGlobs,
    LibraryName,
    Owner,
    PathTemplate,
    RootPath,
    Section,
    Size,
    Switch,
    Target,
    lower,
    only,
)
from mediasluice.config.presets import PRESETS
from mediasluice.config.sinks import SECRET_KEYS, Asynq, RabbitMQ, Rule, SinkOf
from mediasluice.config.sinks import SECTIONS as SINKS
from mediasluice.delivery.asynq.mapping import JobLibrary, Mapped
from mediasluice.delivery.asynq.mapping import Options as Mapping
from mediasluice.errors import BadSetting
from mediasluice.identify.junk import DEFAULT_PATTERNS
from mediasluice.jobs.times import parse
from mediasluice.model.imports import After, Existing, ImportRules, ItemState, Mode, ProfileName, Scope, Undated
from mediasluice.model.roots import Library, Rules

_RULES = Rules()  # the defaults of what belongs to a library are said there, once
_IMPORTS = ImportRules()  # and those of what it imports there

NAME = "NAME"  # stands for the name of any library, or of any sink, in a key
Key = tuple[str, ...]

SECRETS = frozenset(  # never shown, not in an error either
    {("database", "url"), *(("sinks", NAME, key) for key in SECRET_KEYS)}
)
NAMED = ("libraries", "sinks")  # sections whose keys are names


def _times(value: object) -> object:
    """Accept what a schedule is written like; it stays text."""
    if isinstance(value, str):
        try:
            parse(value).after(0)
        except BadSetting as error:
            raise ValueError(str(error)) from None
    return value


class System(Section):
    log_dir: RootPath | None = None
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(lower)] = "info"
    log_format: Literal["console", "json"] = "console"
    timezone: Annotated[str, BeforeValidator(values.timezone)] | None = None


class Work(Section):
    readers: int = Field(default=2, ge=1, le=64)
    reader_deadline: Duration = values.seconds("20s")
    reader_memory: Size = values.size("2GiB")


class Settle(Section):
    complete: Duration = _RULES.complete_s
    unknown: Duration = _RULES.unknown_s
    truncated: Duration = _RULES.truncated_s
    network: Duration = _RULES.network_s


class Transcode(Section):
    enabled: bool = _IMPORTS.transcode is not None
    profile: ProfileName = ProfileName.H264_AAC


class Import(Section):
    owner: Owner | None = _IMPORTS.owner
    state: ItemState = _IMPORTS.state
    target: Target | None = _IMPORTS.target
    template: PathTemplate = _IMPORTS.template
    mode: Mode = _IMPORTS.mode
    after: After = _IMPORTS.after
    processed_dir: RootPath | None = _IMPORTS.processed
    max_size: Size | None = _RULES.max_size
    transcode: Transcode = Transcode()


class Duplicates(Section):
    scope: Scope = _IMPORTS.scope
    to: Literal["report", "processed"] = "report"


class Junk(Section):
    patterns: JunkGlobs = (BUILT_IN,)
    exclude_extensions: Extensions = _RULES.junk_exclude_extensions
    stale_after: Duration = _RULES.stale_after_s


class LibraryRate(Section):
    events_per_second: Annotated[float, Field(gt=0)] | None = None
    burst: Annotated[int, Field(ge=1)] = 1000


class LibrarySection(Section):
    path: RootPath
    type: Literal["library", "inbound", "staging", "production", "photos"] = "library"
    watch: bool = True
    recursive: bool = _RULES.recursive
    include: Globs = _RULES.include
    exclude: Ignores = _RULES.exclude
    follow_symlinks: Literal["never", "files"] = "never"
    poll: Literal["auto", "always", "never"] = "auto"
    debounce: Duration = _RULES.debounce_s
    settle: Settle = Settle()
    existing: Existing = _IMPORTS.existing
    action: Literal["catalogue", "import"] = "catalogue"
    imports: Import = Field(default=Import(), alias="import")
    duplicates: Duplicates = Duplicates()
    jobs: dict[str, Rule] = Field(default_factory=dict)
    rate: LibraryRate = LibraryRate()
    undated: Undated = _IMPORTS.undated
    junk: Junk = Junk()
    attributes: bool = _RULES.attributes

    def conflicts(self) -> Iterator[tuple[Key, str]]:
        """What the keys of an importing library say against one another: the key to change, and why."""
        asked = self.imports
        if asked.processed_dir is None and asked.after is After.MOVE:
            yield (
                ("import", "processed_dir"),
                "`after: move` needs it; set the directory that imported files are moved to",
            )
        elif asked.processed_dir is None and self.duplicates.to == "processed":
            yield (
                ("import", "processed_dir"),
                "`duplicates.to: processed` needs it; set the directory that they are moved to",
            )
        if asked.mode is Mode.IN_PLACE and asked.target is not None:
            yield ("import", "target"), "`mode: in-place` leaves files where they are; leave the target out"
        for key, directory in (("target", asked.target), ("processed_dir", asked.processed_dir)):
            if directory == self.path:
                yield ("import", key), "it is the path of the library itself; name another directory"


class FileWatch(Section):
    """What a library that does not say it for itself gets; ``config.layers`` hands it down."""

    enabled: bool = True
    patterns: Globs = _RULES.include
    ignore_patterns: Ignores = _RULES.exclude
    debounce_time: Duration = _RULES.debounce_s
    buffer_size: int = Field(default=1024, ge=1, le=100_000)
    max_roots: int = Field(default=64, ge=1)  # chosen: half of the kernel's usual 128 inotify instances


class Fingerprints(Section):
    sha256: Switch = "auto"
    md5: Switch = "auto"
    sha1: Switch = "auto"
    full: Literal["auto", "offpeak"] = "auto"
    offpeak: Hours = values.hours("01:00-06:00")


class Previews(Section):
    of: Literal["items", "files", "none"] = "items"


class Source(Section):
    name: Annotated[str, BeforeValidator(values.library_name)]
    command: tuple[Annotated[str, Field(pattern=r"^[^\x00]*$")], ...] = Field(min_length=1)
    kinds: tuple[Literal["image", "video", "audio", "pdf"], ...] = Field(
        default=("image", "video", "audio", "pdf"), min_length=1
    )
    timeout: Annotated[Duration, Field(gt=0)] = values.seconds("10s")


class Metadata(Section):
    sources: tuple[Source, ...] = ()

    @model_validator(mode="after")
    def _differ(self) -> Metadata:
        names = [source.name for source in self.sources]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"sources: {min(twice)!r} is there twice; what a source said is kept by its name")
        return self


class Essences(Section):
    of: Literal["audio", "all", "none"] = "audio"


class Retention(Section):
    missing: Duration = values.seconds("30d")
    events: Duration = values.seconds("90d")
    log_cap: Size = values.size("5GiB")
    jobs: Duration = values.seconds("30d")


class Schedules(Section):
    audit: Interval = values.interval("@hourly")
    retention: Annotated[str, BeforeValidator(_times)] = "@daily"
    verify: Annotated[str, BeforeValidator(_times)] | None = None
    verify_for: Annotated[Duration, Field(gt=0)] = values.seconds("1h")


class Database(Section):
    url: Annotated[
        None,
        only(None, "this version keeps its catalogue as SQLite in the data directory; leave it out"),
    ] = None


class Settings(Section):
    """The whole document. Two snapshots that are equal need no reload."""

    preset: Literal["plain", "mediacms", "melodee", "tracktion", "media-pipeline", "mlm"] = "plain"
    database: Database = Database()
    system: System = System()
    work: Work = Work()
    sections: dict[LibraryName, LibrarySection] = Field(default_factory=dict, alias="libraries")
    file_watch: FileWatch = FileWatch()
    fingerprints: Fingerprints = Fingerprints()
    previews: Previews = Previews()
    metadata: Metadata = Metadata()
    essences: Essences = Essences()
    sinks: dict[LibraryName, SinkOf] = Field(default_factory=dict)
    retention: Retention = Retention()
    schedules: Schedules = Schedules()

    @model_validator(mode="after")
    def _few_enough(self) -> Settings:
        if len(self.sections) > self.file_watch.max_roots:
            raise ValueError(
                f"libraries: {len(self.sections)} roots are more than file_watch.max_roots allows "
                f"({self.file_watch.max_roots})"
            )
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        problems = [
            InitErrorDetails(type="value_error", loc=key, input=None, ctx={"error": ValueError(why)})
            for key, why in self._conflicts()
        ]
        if problems:
            raise ValidationError.from_exception_data("Settings", problems)
        return self

    def _conflicts(self) -> Iterator[tuple[Key, str]]:
        importing = {name: section for name, section in self.sections.items() if section.action == "import"}
        owner_from = PRESETS[self.preset].owner_from
        for name, section in importing.items():
            yield from ((("libraries", name, *key), why) for key, why in section.conflicts())
            if owner_from is not None and section.imports.owner is None:
                yield (
                    ("libraries", name, "import", "owner"),
                    f"preset {self.preset} imports for one account ({owner_from}); set libraries.{name}.import.owner",
                )
        for name, sink in self.sinks.items():
            if unknown := set(sink.libraries) - self.sections.keys() if self.sections else set():
                yield ("sinks", name, "libraries"), f"there is no library {min(unknown)!r}"
            if isinstance(sink, Asynq):
                try:
                    Mapped(self.mapping(sink))
                except BadSetting as error:
                    yield ("sinks", name, "map"), str(error)
        for name, section in self.sections.items():
            if section.imports.transcode.enabled and name not in importing:
                yield (
                    ("libraries", name, "import", "transcode", "enabled"),
                    "renditions are made of items, and this library imports nothing; set `action: import`",
                )
            for other, importer in importing.items():
                above = importer.imports.processed_dir
                itself = name == other and section.path == above  # told as a conflict of the library
                if above is not None and not itself and _lies_in(section.path, above):
                    yield (
                        ("libraries", name, "path"),
                        f"it lies in libraries.{other}.import.processed_dir, where nothing is taken in any more",
                    )

    def libraries(self) -> tuple[Library, ...]:
        """Give each library as the stages know it, in the order of the document."""
        return tuple(self._library(name, section) for name, section in self.sections.items())

    def algorithms(self) -> frozenset[str]:
        """Name the digests to compute: the two that identify a content, and those that something asks for."""
        asked = self.fingerprints
        is_told = any(isinstance(sink, RabbitMQ) for sink in self.sinks.values())
        sha256 = is_told if asked.sha256 == "auto" else asked.sha256
        switches = {"sha256": sha256, "md5": asked.md5, "sha1": asked.sha1}
        return frozenset({"blake3", "xxh128", *(name for name, switch in switches.items() if switch is True)})

    def mapping(self, sink: Asynq) -> Mapping:
        """Say which jobs follow which events, with what they need to know of the libraries."""
        libraries = {
            name: JobLibrary(
                type=section.type,
                root=section.path,
                number=sink.numbers.get(name),
                jobs=section.jobs,
                queue=sink.queues.get(name),
                retry_max=sink.retries.get(name),
            )
            for name, section in self.sections.items()
        }
        return Mapping(
            url=sink.url,
            libraries=libraries,
            queue=sink.queue,
            queues={job: queue for job, queue in sink.queues.items() if job not in libraries},
            map=sink.map,
            unique_ttl_s=sink.unique_ttl,
            timeout_s=sink.timeout,
            retry_max=sink.retry_max,
            delay_s=sink.delay,
            path_window_s=sink.path_window,
        )

    def _library(self, name: str, section: LibrarySection) -> Library:
        junk: list[str] = []
        for pattern in section.junk.patterns:
            junk += DEFAULT_PATTERNS if pattern == BUILT_IN else [pattern]
        rules = Rules(
            recursive=section.recursive,
            include=section.include,
            exclude=section.exclude,
            kinds=() if section.include else tuple(kind.value for kind in PRESETS[self.preset].kinds),
            follow_symlinks=section.follow_symlinks,
            poll=section.poll,
            debounce_s=section.debounce,
            complete_s=section.settle.complete,
            unknown_s=section.settle.unknown,
            truncated_s=section.settle.truncated,
            network_s=section.settle.network,
            junk=tuple(junk),
            junk_exclude_extensions=section.junk.exclude_extensions,
            stale_after_s=section.junk.stale_after,
            max_size=section.imports.max_size,
            attributes=section.attributes,
            imports=_imports(section) if section.action == "import" else None,
        )
        return Library(name=name, path=section.path, rules=rules, watch=section.watch)


def _imports(section: LibrarySection) -> ImportRules:
    asked = section.imports
    return ImportRules(
        owner=asked.owner,
        state=asked.state,
        target=asked.target,
        template=asked.template,
        mode=asked.mode,
        after=asked.after,
        processed=asked.processed_dir,
        existing=section.existing,
        scope=section.duplicates.scope,
        undated=section.undated,
        moves_duplicates=section.duplicates.to == "processed",
        transcode=asked.transcode.profile if asked.transcode.enabled else None,
    )


def _lies_in(path: bytes, directory: bytes) -> bool:
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")


def keys(model: type[Section] = Settings) -> Iterator[Key]:
    """Name every setting by its path in the document, once; ``NAME`` stands for the name of a library or of a sink."""
    for field, info in model.model_fields.items():
        key = info.alias or field
        inner: Any = info.annotation
        if model is Settings and key == "sinks":
            below = dict.fromkeys(one for section in SINKS for one in keys(section))
            yield from ((key, NAME, *one) for one in below)
            continue
        names: Key = (key,)
        if model is Settings and key == "libraries":
            names, inner = (key, NAME), get_args(inner)[1]
        if isinstance(inner, type) and issubclass(inner, Section):
            yield from ((*names, *below) for below in keys(inner))
        else:
            yield names


def pattern_of(key: Key) -> Key:
    """A key with ``NAME`` in place of the name in it."""
    return (key[0], NAME, *key[2:]) if len(key) > 1 and key[0] in NAMED else key


def json_schema() -> dict[str, Any]:
    """Describe the document for editors: JSON Schema, draft 2020-12."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **Settings.model_json_schema(by_alias=True)}
