"""Make the payloads that a worker takes, with rules that let a test say only what matters to it."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from mediasluice.pipeline.outcomes import Look, Spec
from mediasluice.settle.decide import Arrival


def spec(root: Path, **changes: Any) -> Spec:
    """A local root where leases tell the truth and everything is wanted; quiet times as by default."""
    plain = Spec(
        root=os.fsencode(root),
        lease_proves_free=True,
        lease_proves_busy=True,
        stable_inodes=True,
        local=True,
        follow_files=False,
        durations_s=(0.0, 0.25, 5.0, 60.0, 15.0),
        recursive=True,
        include=(),
        exclude=(),
        own=(),
        kinds=(),
        junk=(),
        junk_exclude_extensions=(),
        stale_after_s=86400.0,
        max_size=None,
        algorithms=("blake3", "xxh128"),
        rules_digest=bytes(16),
        full=True,
    )
    return plain._replace(**changes)


def look(name: bytes, *, changed_s: float = -math.inf, arrival: Arrival = Arrival.CLOSED, **rest: Any) -> Look:
    """A look at a file; by default nothing changed it for ever, ``changed_s=math.inf`` = a moment ago."""
    values: dict[str, Any] = {
        "observations": 0,
        "learned_s": 0.0,
        "last_key": None,
        "known": None,
        "stat_only": False,
        **rest,
    }
    return Look(name, int(arrival), changed_s, **values)


def look_job(
    root: Path, *names: bytes, directory: bytes = b"", express: bool = False, **changes: Any
) -> tuple[Any, ...]:
    """The payload of a ``look`` job at files of one directory."""
    looks = [tuple(look(name)) for name in names]
    return (tuple(spec(root, **changes)), express, [(directory, False, looks)])


def key_of(path: Path) -> tuple[int, int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
