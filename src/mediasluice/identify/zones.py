"""Say which time zone holds at a place.

Takes latitude and longitude in degrees, positive to the north and to the east; gives a ``tzinfo`` of the IANA data
base, or nothing for what is no place on earth. At sea it is the nautical zone. Borders are right to about 110 m.
The first call loads the map: 0.1 s and 35 MB, once in a process; each further one takes 2 us.
Fails with: nothing.
Source: timezone-boundary-builder (OpenStreetMap), as it is packed by tzfpy.
"""

from __future__ import annotations

from datetime import tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def zone_at(lat: float, lon: float) -> tzinfo | None:
    """Give the time zone at a place; zero on both axes is what a receiver without a fix writes."""
    if not (-90 <= lat <= 90 and -180 <= lon <= 180) or lat == lon == 0:
        return None
    from tzfpy import get_tz  # noqa: PLC0415 - most libraries never ask, and the map is large

    name = get_tz(lon, lat)
    return _zone(name) if name else None


@cache
def _zone(name: str) -> tzinfo | None:
    """None for a zone that this machine's data do not have yet: they may be older than the map."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError):
        return None
