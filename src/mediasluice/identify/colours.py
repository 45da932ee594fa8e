"""Bring pixels of other light into sRGB: films with a high dynamic range, photographs in Adobe RGB without a profile.

Takes a Pillow picture of mode RGB, and gives one. High dynamic range is mapped by a curve for each of the three values,
so that everything up to half of the white of a page keeps its brightness, and lamps and skies above it are pressed
together and lose some of their colour, as on film. Primaries are mapped behind that by a table of 33 steps a side;
both are made once per process. (One table for both at once would be coarse where light is bright: measured, gray got
waves of 14 of 255.)
Fails with: nothing. Source: ITU-R BT.2100 (curves), BT.2408 (white at 203 cd/m2), BT.2087 (primaries); IEC 61966-2-1;
Adobe RGB (1998).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from PIL import Image, ImageFilter

_Row = tuple[float, float, float]

STEPS = 33  # chosen: between two of them a straight line is off by less than two of 255
WHITE = 203.0  # cd/m2 of a white page in a film, BT.2408
KNEE = 0.5  # of white, chosen: skin and grass stay what they are; the rest of the range is for what is brighter
PEAK = 1000.0  # cd/m2 of the screen that HLG is meant for, BT.2100

_FROM_2020 = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
_FROM_ADOBE = ((1.39836, -0.39836, 0.0), (0.0, 1.0, 0.0), (0.0, -0.04293, 1.04293))


def from_perceptual_quantizer(picture: Image.Image) -> Image.Image:
    """HDR10 and Dolby Vision films: BT.2020 with the curve of SMPTE 2084."""
    return picture.point(_curve(_pq)).filter(_wide())


def from_hybrid_log_gamma(picture: Image.Image) -> Image.Image:
    """Films of phones and of broadcasters: BT.2020 with the curve of ARIB STD-B67."""
    return picture.point(_curve(_hlg)).filter(_wide())


def from_adobe_rgb(picture: Image.Image) -> Image.Image:
    """What cameras write that are set to Adobe RGB and say so by a word only."""
    return picture.filter(_adobe())


@functools.cache
def _wide() -> ImageFilter.Color3DLUT:
    return _table(_FROM_2020, _light)


@functools.cache
def _adobe() -> ImageFilter.Color3DLUT:
    return _table(_FROM_ADOBE, lambda signal: math.pow(signal, 563 / 256))


def _table(matrix: tuple[_Row, _Row, _Row], light: Callable[[float], float]) -> ImageFilter.Color3DLUT:
    def entry(red: float, green: float, blue: float) -> _Row:
        shining = (light(red), light(green), light(blue))
        first, second, third = (sum(part * value for part, value in zip(row, shining, strict=True)) for row in matrix)
        return (_signal(first), _signal(second), _signal(third))

    return ImageFilter.Color3DLUT.generate(STEPS, entry)


@functools.cache
def _curve(light: Callable[[float], float]) -> list[int]:
    """For each value of a channel, the one of sRGB that looks like it; three times, as Pillow wants it."""
    return [round(255 * _signal(_pressed(light(value / 255)))) for value in range(256)] * 3


def _pq(signal: float) -> float:
    """Light, where 1 is the white of a page."""
    root = math.pow(signal, 1 / 78.84375)
    return 10_000 / WHITE * math.pow(max(root - 0.8359375, 0.0) / (18.8515625 - 18.6875 * root), 1 / 0.1593017578125)


def _hlg(signal: float) -> float:
    """The same; for gray it is what BT.2100 says, for colours the screen's gamma is taken of each value."""
    scene = signal * signal / 3 if signal <= 0.5 else (math.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return PEAK / WHITE * math.pow(scene, 1.2)


def _pressed(light: float) -> float:
    """Bring light of any strength below 1, smoothly, and leave what is weak as it is."""
    return light if light <= KNEE else 1 - (1 - KNEE) * math.exp((KNEE - light) / (1 - KNEE))


def _light(signal: float) -> float:
    """What an sRGB signal shines."""
    return signal / 12.92 if signal <= 0.04045 else math.pow((signal + 0.055) / 1.055, 2.4)


def _signal(light: float) -> float:
    """The sRGB signal of a light, 0 to 1."""
    if light <= 0.0031308:
        return 12.92 * max(light, 0.0)
    return min(1.055 * math.pow(light, 1 / 2.4) - 0.055, 1.0)
