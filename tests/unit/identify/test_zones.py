from __future__ import annotations

import math
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from mediasluice.identify import zones
from mediasluice.identify.zones import zone_at

SUMMER = datetime(2019, 7, 1, 12)  # noqa: DTZ001 - wall clock


@pytest.mark.parametrize(
    ("lat", "lon", "hours"),
    [
        (52.52, 13.40, 2),  # Berlin
        (40.71, -74.01, -4),  # New York
        (35.68, 139.69, 9),  # Tokyo
        (28.61, 77.21, 5.5),  # Delhi
        (27.71, 85.32, 5.75),  # Kathmandu
        (-36.85, 174.76, 12),  # Auckland, in winter
        (-33.87, 151.21, 10),  # Sydney
        (64.15, -21.94, 0),  # Reykjavik
        (1.33, 172.98, 12),  # Tarawa
        (-8.84, 13.23, 1),  # Luanda
        (78.22, 15.65, 2),  # Longyearbyen
    ],
)
def test_the_zone_of_a_place(lat: float, lon: float, hours: float) -> None:
    """The time of a place is what its clocks show, summer time and half hours included."""
    zone = zone_at(lat, lon)
    assert zone is not None
    assert SUMMER.replace(tzinfo=zone).utcoffset() == timedelta(hours=hours)


def test_it_is_a_zone_of_the_iana_data_base() -> None:
    """So that it knows the past as well."""
    assert zone_at(48.85, 2.35) == ZoneInfo("Europe/Paris")


def test_at_sea_it_is_the_nautical_zone() -> None:
    """Ships reckon by longitude: 15 degrees make an hour."""
    zone = zone_at(30.0, -45.0)
    assert zone is not None
    assert SUMMER.replace(tzinfo=zone).utcoffset() == timedelta(hours=-3)


@pytest.mark.parametrize(
    ("lat", "lon"),
    [
        (91.0, 0.0),
        (-90.1, 5.0),
        (10.0, 181.0),
        (10.0, -1e300),
        (math.nan, 1.0),
        (1.0, math.nan),
        (math.inf, 1.0),
        (0.0, 0.0),
    ],
)
def test_what_is_no_place_has_no_zone(lat: float, lon: float) -> None:
    """Coordinates out of range, and the zeros of a receiver without a fix."""
    assert zone_at(lat, lon) is None


@pytest.mark.parametrize(("lat", "lon"), [(90.0, 180.0), (-90.0, -180.0), (90.0, -180.0), (0.0, 180.0)])
def test_the_edges_of_the_map_are_on_it(lat: float, lon: float) -> None:
    """Poles and date line have a zone."""
    assert zone_at(lat, lon) is not None


def test_a_zone_that_this_machine_does_not_know_is_none() -> None:
    """The map may be newer than the machine's data."""
    assert zones._zone("Nowhere/Atlantis") is None
