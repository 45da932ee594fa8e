from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from mediasluice.identify import stamps
from mediasluice.identify.capture import Evidence, Rules, capture
from mediasluice.identify.opened import Refused
from mediasluice.identify.readers import takeout, xmp
from mediasluice.model.files import Kind
from mediasluice.model.media import Capture, Confidence, DateClaim, DateSource, Gps

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = Rules(now_ns=int(NOW.timestamp()) * 10**9, zone=ZoneInfo("Europe/Berlin"))
RESET = {f"{year}-01-01T00:00:00" for year in (1904, 1970, 1980, 2000)}
OWN = [source for source in DateSource if source not in {DateSource.SIBLING, DateSource.MTIME}]

clocks = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 - wall clock
dates = clocks.map(lambda clock: clock.strftime("%Y:%m:%d %H:%M:%S")) | clocks.map(datetime.isoformat)
texts = (
    dates
    | st.sampled_from(["0000:00:00 00:00:00", "2000:01:01 00:00:00", "2019:02:30 10:00:00", "", "2019", "    :  :"])
    | st.builds("{}{}".format, dates, st.sampled_from(["Z", "-05:30", "+0200", " UTC", ".5", "\0", "x", " PM"]))
    | st.text(max_size=80)
    | st.text(st.sampled_from("0129:- TZ+."), max_size=30)
)
offsets = st.none() | st.sampled_from(["Z", "+02:00", "-05:30", "+99:00", "  :  "]) | st.text(max_size=10)
names = st.binary(max_size=60) | st.text(st.sampled_from("0129_-. PXLIMG(1)@"), max_size=40).map(str.encode)
numbers = st.integers(-(1 << 70), 1 << 70)
captures = st.builds(
    Capture,
    clocks.map(lambda clock: clock.replace(microsecond=0).isoformat()),
    st.none() | st.integers(-720, 840),
    st.sampled_from(DateSource),
    st.sampled_from(Confidence),
)
places = st.builds(Gps, st.floats(), st.floats())
evidences = st.builds(
    Evidence,
    # one claim of a source at most: those of one source keep the order in which its reader gives them
    claims=st.lists(
        st.builds(DateClaim, st.sampled_from(OWN), texts, offsets), max_size=8, unique_by=lambda claim: claim.source
    ).map(tuple),
    sibling=st.none() | captures,
    name=names,
    own_name=st.booleans(),
    kind=st.sampled_from(Kind),
    container=st.none() | st.sampled_from(["mp4", "mov", "avi"]) | st.text(max_size=5),
    make=st.none() | st.sampled_from(["Canon", "Apple"]) | st.text(max_size=10),
    gps=st.none() | places,
    mtime_ns=numbers,
    birth_ns=st.none() | numbers,
)
rules = st.builds(RULES._replace, floor_year=st.sampled_from([1990, 1850]), takeout_first=st.booleans())


@given(evidences, rules)
@example(Evidence(claims=(DateClaim(DateSource.CONTAINER, "0001-01-01T00:00:00Z"),)), RULES._replace(floor_year=0))
@example(Evidence(claims=(DateClaim(DateSource.TAKEOUT, "1999-12-31T23:00:00", "Z"),)), RULES)
def test_the_result_is_plausible_or_the_file_time(evidence: Evidence, rules: Rules) -> None:
    """Whatever was claimed, the answer is a real day from the floor to tomorrow, or that of a person or the disk."""
    found = capture(evidence, rules)
    clock = datetime.fromisoformat(found.local)
    assert clock.isoformat() == found.local
    assert found.offset is None or abs(found.offset) < 24 * 60
    if found.source is DateSource.SIBLING:
        assert evidence.sibling is not None
        assert found.local == evidence.sibling.local
        if evidence.sibling.source is DateSource.USER:
            return
    if found.source not in {DateSource.USER, DateSource.MTIME}:
        assert clock.year >= rules.floor_year
        assert clock <= NOW.replace(tzinfo=None) + timedelta(days=1)
        is_day = any(
            claim.source is found.source and len(claim.text.strip("\0 \t\n")) < 12 for claim in evidence.claims
        )
        assert found.local not in RESET or is_day or found.source is DateSource.NAME_DATE


@given(evidences, rules, st.randoms())
def test_sources_decide_and_not_the_order_of_claims(evidence: Evidence, rules: Rules, random: Random) -> None:
    """The same claims in any order give the same answer with the same reasons."""
    shuffled = list(evidence.claims)
    random.shuffle(shuffled)
    assert capture(evidence._replace(claims=tuple(shuffled)), rules) == capture(evidence, rules)


@given(evidences, rules)
def test_each_source_that_was_passed_over_is_named_once(evidence: Evidence, rules: Rules) -> None:
    """The reasons name exactly the claims that were asked before the chosen one, in one line each."""
    found = capture(evidence, rules)
    asked = [reason.partition(" ")[0] for reason in found.rejected]
    assert all(reason.isprintable() for reason in found.rejected)
    claims = [*evidence.claims, *(() if evidence.own_name else stamps.claims(evidence.name))]
    there = sorted(claim.source for claim in claims)
    if found.source is DateSource.MTIME:
        assert sorted(asked) == sorted([*there, *([DateSource.SIBLING] if evidence.sibling else [])])
        return
    order = list(DateSource)
    if rules.takeout_first:
        order.remove(DateSource.TAKEOUT)
        order.insert(order.index(DateSource.EXIF_ORIGINAL), DateSource.TAKEOUT)
    sibling = evidence.sibling
    if sibling is not None and list(DateSource).index(sibling.source) < list(DateSource).index(DateSource.NAME):
        order.remove(DateSource.SIBLING)
        order.insert(order.index(DateSource.NAME), DateSource.SIBLING)
    before = order[: order.index(found.source)]
    expected = [source for source in there if source in before]
    if sibling is not None and DateSource.SIBLING in before:
        expected.append(DateSource.SIBLING)
    # a source may be there twice, in the name and as a claim: the first of them is rejected, the second chosen
    surplus = list(asked)
    for source in expected:
        surplus.remove(source)
    assert set(surplus) <= {found.source}
    assert [order.index(DateSource(source)) for source in asked] == sorted(
        order.index(DateSource(source)) for source in asked
    )


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_name_gives_claims_that_can_be_judged(name: bytes) -> None:
    """Names in any encoding give at most a date and an epoch."""
    assert len(stamps.claims(name)) <= 2


pieces = st.sampled_from(
    [
        b"<rdf:RDF>",
        b"</rdf:RDF>",
        b"<rdf:Description exif:DateTimeOriginal='2019-05-04'>",
        b"</rdf:Description>",
        b"<tiff:Make>",
        b"</tiff:Make>",
        b"<dc:title><rdf:Alt><rdf:li>",
        b"</rdf:li>",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
        b"&amp;",
        b"&#0;",
        b"\xff\xfe",
        b"\0",
        b"<?xml version='1.0' encoding='utf-7'?>",
        b"<![CDATA[",
    ]
)


@given(st.lists(pieces | st.binary(max_size=8), max_size=12).map(b"".join))
def test_any_bytes_are_xmp_or_refused(packet: bytes) -> None:
    """Damage gives facts or a refusal, never another error."""
    try:
        found = xmp.read(packet)
    except Refused:
        return
    assert (found.lat is None) == (found.lon is None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
seconds = st.fixed_dictionaries({"timestamp": json_values | st.integers().map(str)})


@given(st.fixed_dictionaries({"photoTakenTime": seconds, "geoData": json_values, "title": json_values}))
def test_any_json_is_takeouts_or_refused(document: dict[str, object]) -> None:
    """Values of any type give facts or a refusal, never another error."""
    found = takeout.facts(json.dumps(document).encode())
    assert found.taken is None or found.taken.lstrip("-")[:1].isdigit()


@given(names)
def test_every_name_of_a_json_belongs(name: bytes) -> None:
    """What is looked up and what is compared never contradict each other."""
    assert all(takeout.belongs(json_name, name) for json_name in takeout.names_of(name))
