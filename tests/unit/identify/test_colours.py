from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from PIL import Image

from mediasluice.identify import colours
from tests.unit.identify.drawn import Rgb, at

WHITE = 203.0  # cd/m2


def light(signal: int) -> float:
    """What an sRGB value shines, where 1 is white; IEC 61966-2-1."""
    value = signal / 255
    return value / 12.92 if value <= 0.04045 else math.pow((value + 0.055) / 1.055, 2.4)


def pq(nits: float) -> int:
    """SMPTE 2084 as a signal of eight bits."""
    power = math.pow(nits / 10_000, 0.1593017578125)
    return round(255 * math.pow((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power), 78.84375))


def hlg(nits: float) -> int:
    """ARIB STD-B67 for a screen of 1,000 cd/m2 as a signal of eight bits."""
    scene = math.pow(nits / 1000, 1 / 1.2)
    signal = math.sqrt(3 * scene) if scene <= 1 / 12 else 0.17883277 * math.log(12 * scene - 0.28466892) + 0.55991073
    return round(255 * signal)


BRIGHT = ((colours.from_perceptual_quantizer, pq), (colours.from_hybrid_log_gamma, hlg))


def mapped(mapping: Callable[[Image.Image], Image.Image], colour: Rgb) -> Rgb:
    return at(mapping(Image.new("RGB", (2, 2), colour)), (0, 0))


@pytest.mark.parametrize("gray", [10, 40, 64, 100, 128, 180])
def test_what_is_darker_than_half_of_white_stays_as_it_is(gray: int) -> None:
    """Skin and grass of a film with a high range look as in one without."""
    for table, curve in BRIGHT:
        signal = curve(light(gray) * WHITE)
        red, green, blue = mapped(table, (signal, signal, signal))
        assert abs(red - gray) <= 4
        assert max(red, green, blue) - min(red, green, blue) <= 1


def test_lamps_are_brighter_than_paper_and_none_is_cut_off() -> None:
    """Up to the brightest, more light is more signal."""
    for table, curve in BRIGHT:
        shown = [mapped(table, (curve(nits),) * 3)[0] for nits in range(20, 900, 20)]
        assert shown == sorted(shown)
        assert shown[-1] >= 252
        assert mapped(table, (curve(WHITE),) * 3)[0] in range(215, 240)


def test_colours_of_a_wide_space_keep_their_hue() -> None:
    """The red of BT.2020 is red, orange is orange, and a lamp of that colour is paler and still warm."""
    table = colours.from_perceptual_quantizer
    red, green, blue = mapped(table, (pq(100), 0, 0))
    assert red > 150
    assert (green, blue) == (0, 0)
    red, green, blue = mapped(table, (pq(120), pq(60), pq(10)))
    assert red > green + 40 > blue + 80
    red, green, blue = mapped(table, (pq(900), pq(300), pq(30)))
    assert red >= green > blue


def test_gray_is_gray_in_adobe_rgb_too() -> None:
    """What has no colour gets none, and black and white stay."""
    for gray in (0, 32, 128, 200, 255):
        shown = mapped(colours.from_adobe_rgb, (gray, gray, gray))
        assert max(shown) - min(shown) <= 1
        assert abs(shown[0] - gray) <= 7  # its curve is another one in the dark
