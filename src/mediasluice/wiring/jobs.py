"""Make the jobs of a service: which kinds there are, what they may use, and when they come by themselves.

Takes the settings as they are now (a callable: a document may change), the roots, the writer; gives an engine and its
schedules. A kind is a line here and a module in ``jobs``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from mediasluice.jobs import digests, retention, scan, sweep, verify
from mediasluice.jobs.engine import Engine
from mediasluice.jobs.port import Schedule, Wish
from mediasluice.jobs.reading import Tools
from mediasluice.jobs.times import opens_us, parse
from mediasluice.model.roots import RootState
from mediasluice.pipeline.rereading import Ground
from mediasluice.pipeline.writer import now_us

if TYPE_CHECKING:
    from mediasluice.catalogue.view import View
    from mediasluice.config.document import Settings
    from mediasluice.jobs.scan import Scan
    from mediasluice.jobs.sweep import Sweep
    from mediasluice.model.flow import RootId
    from mediasluice.pipeline.log import Log
    from mediasluice.pipeline.watched import Watched
    from mediasluice.pipeline.writer import Writer


class Ways(NamedTuple):
    """What the stages do for jobs."""

    scan: Scan
    read: Callable[[], Sweep]
    make: Callable[[str], Sweep]
    transcode: Callable[[], Sweep]


def engine(
    open_view: Callable[[], View],
    writer: Writer,
    log: Log,
    *,
    settings: Callable[[], Settings],
    roots: Callable[[], Mapping[RootId, Watched]],
    ways: Ways,
    failed: Callable[[BaseException], None],
) -> Engine:
    """Make what runs jobs; nothing runs before its start."""
    tools = Tools(open_view, lambda: _grounds(roots()), now_us, log)
    keeping = retention.Tools(open_view, writer, lambda: _kept(settings()), lambda: list(settings().sinks), now_us, log)
    kinds = [
        verify.kind(tools),
        digests.kind(tools, lambda: _opens_us(settings())),
        retention.kind(keeping),
        scan.kind(ways.scan),
        sweep.reading(ways.read),
        sweep.making(ways.make),
        sweep.transcoding(ways.transcode),
    ]
    return Engine(kinds, open_view, writer, log, clock=now_us, failed=failed)


def schedules(settings: Settings) -> list[Schedule]:
    """What comes by itself."""
    asked = settings.schedules
    found = [Schedule("retention", parse(asked.retention), Wish(retention.NAME, asked_by="schedule"))]
    if asked.verify is not None:
        args = {"seconds": asked.verify_for}
        found.append(Schedule("verify", parse(asked.verify), Wish(verify.NAME, args=args, asked_by="schedule")))
    return found


def _grounds(roots: Mapping[RootId, Watched]) -> dict[RootId, Ground]:
    return {
        number: Ground(root.path, root.spec.follow_files)
        for number, root in list(roots.items())
        if root.state is RootState.ONLINE
    }


def _kept(settings: Settings) -> retention.Rules:
    asked = settings.retention
    return retention.Rules(int(asked.events * 1e6), asked.log_cap, int(asked.jobs * 1e6))


def _opens_us(settings: Settings) -> int | None:
    """When files may be read in full only for their digests; ``None``: now."""
    if settings.fingerprints.full == "auto":
        return None
    hours = settings.fingerprints.offpeak
    return opens_us(hours.begin, hours.end, now_us())
