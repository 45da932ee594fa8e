from __future__ import annotations

import hashlib
import marshal
import os
import re
import resource
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from mediasluice.identify import essence
from mediasluice.identify.essence import Essence, Stream
from mediasluice.identify.opened import Opened, Refused
from mediasluice.model.files import Kind
from tests.clips import chord, copied, film, noise, opened, sound

TAGS = {"title": "Another name", "artist": "Somebody", "comment": "x" * 3000}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder with a film of each codec and a sound of each codec."""
    folder = tmp_path_factory.mktemp("media")
    film(folder / "film.mp4")
    film(folder / "hevc.mp4", "libx265", audio=None)
    film(folder / "av1.mkv", "libsvtav1", audio=None)
    film(folder / "mpeg2.mkv", "mpeg2video", audio="ac3")
    film(folder / "vp9.webm", "libvpx-vp9", audio="libopus")
    sound(folder / "plain.mp3", "libmp3lame", container={"write_xing": "0", "id3v2_version": "0"})
    sound(folder / "plain.flac", "flac", options={"compression_level": "5"})
    sound(folder / "plain.m4a", "aac")
    sound(folder / "plain.ogg", "vorbis", options={"strict": "-2"})
    sound(folder / "plain.aac", "aac")
    sound(folder / "plain.wv", "wavpack")
    sound(folder / "plain.tta", "tta")
    film(folder / "opus.mkv", "mpeg4", audio="libopus")
    copied(folder / "opus.mkv", folder / "plain.opus", "audio")
    return folder


def of(path: Path) -> Essence:
    return essence.of(opened(path))


def are_equal(one: Path, other: Path) -> bool:
    a, b = of(one), of(other)
    assert (essence.key(a) == essence.key(b)) is essence.same(a, b)  # a key alone differs only by a cut
    return essence.same(a, b)


# --- for the other side of a pipe


def test_what_crosses_a_pipe_are_plain_values(media: Path) -> None:
    """Streams as tuples that marshal can write; samples beside them only where a single sound is lossless."""
    lossless = essence.of_file(opened(media / "plain.flac"))
    assert marshal.loads(marshal.dumps(lossless)) == lossless
    assert [type(one) for one in lossless] == [tuple, tuple]
    stream, samples = lossless
    assert stream == (*of(media / "plain.flac").streams[0],)
    assert samples == ("samples", "md5 44100 2", essence.pcm_md5_of(opened(media / "plain.flac")), stream[3])
    assert [one[0] for one in essence.of_file(opened(media / "plain.mp3"))] == ["audio"]
    assert [one[0] for one in essence.of_file(opened(media / "film.mp4"))] == ["audio", "video"]


# --- the same streams in another container

CONTAINERS = {
    "mov": ("film.mp4", "film.mov", {}),
    "matroska": ("film.mp4", "film.mkv", {}),
    "fragmented mp4": ("film.mp4", "fragments.mp4", {"movflags": "frag_keyframe+empty_moov"}),
    "mp4 with the index in front and new tags": ("film.mp4", "faststart.mp4", {"movflags": "faststart"}),
    "transport stream": ("film.mp4", "film.ts", {}),
    "hevc in mov": ("hevc.mp4", "hevc.mov", {}),
    "hevc in matroska": ("hevc.mp4", "hevc.mkv", {}),
    "hevc in a transport stream": ("hevc.mp4", "hevc.ts", {}),
    "hevc alone": ("hevc.mp4", "alone.hevc", {}),
    "av1 in mp4": ("av1.mkv", "av1.mp4", {}),
    "av1 in ivf": ("av1.mkv", "av1.ivf", {}),
    "mpeg-2 and ac-3 in a transport stream": ("mpeg2.mkv", "mpeg2.ts", {}),
    "mpeg-2 and ac-3 in mp4": ("mpeg2.mkv", "mpeg2.mp4", {}),
    "vp9 and opus in mp4": ("vp9.webm", "vp9.mp4", {}),
    "vp9 and opus in matroska": ("vp9.webm", "vp9.mkv", {}),
}


@pytest.mark.parametrize(("source", "target", "options"), CONTAINERS.values(), ids=CONTAINERS.keys())
def test_another_container_has_the_same_essence(
    media: Path, tmp_path: Path, source: str, target: str, options: dict[str, str]
) -> None:
    """The streams of a film are the same in every container that takes them, whatever its tags say."""
    other = copied(media / source, tmp_path / target, tags=TAGS, container=options)
    assert other.read_bytes() != (media / source).read_bytes()
    assert are_equal(media / source, other)


def test_a_stream_without_a_clock_is_not_proposed(media: Path, tmp_path: Path) -> None:
    """AV1 between delimiters alone has the digest of the film, but nobody knows how long it plays."""
    alone = of(copied(media / "av1.mkv", tmp_path / "av1.obu"))
    assert essence.key(alone) == essence.key(of(media / "av1.mkv"))
    assert not essence.same(alone, of(media / "av1.mkv"))


@pytest.mark.parametrize("ending", ["mov", "mkv", "ts", "avi", "flv", "h264"])
def test_another_program_makes_the_same_streams(media: Path, tmp_path: Path, ending: str) -> None:
    """What the ffmpeg of the system puts into another container is the same film as well."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("ffmpeg is not installed")
    other = tmp_path / f"film.{ending}"
    words = ["-v", "error", "-i", str(media / "film.mp4"), "-c", "copy", "-metadata", "title=x", str(other)]
    subprocess.run([ffmpeg, *words], check=True)
    source = of(media / "film.mp4").streams
    streams = of(other).streams
    assert [stream[:3] for stream in streams] == [stream[:3] for stream in source][-len(streams) :]


def test_the_sound_of_a_film_is_the_sound_alone(media: Path, tmp_path: Path) -> None:
    """The audio stream of an MP4 has the digest of the M4A that holds only it, and the key of the film is another."""
    alone = of(copied(media / "film.mp4", tmp_path / "alone.m4a", "audio"))
    whole = of(media / "film.mp4")
    assert [stream.type for stream in whole.streams] == ["audio", "video"]
    assert alone.streams[0][:3] == whole.streams[0][:3]
    assert not essence.same(alone, whole)
    assert essence.key(alone) != essence.key(whole)


SOUNDS = {
    "mp3": ("plain.mp3", "tagged.mp3"),
    "mp3 in matroska": ("plain.mp3", "plain.mka"),
    "mp3 in mp4": ("plain.mp3", "mp3.mp4"),
    "flac": ("plain.flac", "tagged.flac"),
    "flac in matroska": ("plain.flac", "plain.mka"),
    "flac in ogg": ("plain.flac", "plain.oga"),
    "m4a": ("plain.m4a", "tagged.m4a"),
    "aac without a container": ("plain.m4a", "raw.aac"),
    "ogg": ("plain.ogg", "tagged.ogg"),
    "vorbis in matroska": ("plain.ogg", "plain.mka"),
    "opus": ("plain.opus", "tagged.opus"),
    "opus in a transport stream": ("plain.opus", "opus.ts"),
}


@pytest.mark.parametrize(("source", "target"), SOUNDS.values(), ids=SOUNDS.keys())
def test_sound_with_other_tags_has_the_same_essence(media: Path, tmp_path: Path, source: str, target: str) -> None:
    """Tags, and the container, of a sound are outside of its essence."""
    assert are_equal(media / source, copied(media / source, tmp_path / target, tags=TAGS))


# --- tags that a demuxer may take for sound

FALSE_FRAMES = (b"\xff\xfb\x90\x44" + b"cover".ljust(413, b".")) * 4  # what a picture may hold by chance


def id3v2(version: int, *, footer: bool = False) -> bytes:
    body = b"TIT2" + (6).to_bytes(4, "big") + b"\0\0" + b"\0hello" + bytes(500) + (FALSE_FRAMES if footer else b"")
    size = bytes(len(body) >> shift & 127 for shift in (21, 14, 7, 0))
    head = bytes((version, 0, 0x10 if footer else 0)) + size
    return b"ID3" + head + body + (b"3DI" + head if footer else b"")


def ape(*, header: bool = True) -> bytes:
    items = struct.pack("<II", len(FALSE_FRAMES), 2) + b"Cover Art (Front)\0" + FALSE_FRAMES
    fields = struct.pack("<III", 2000, len(items) + 32, 1)
    begin = b"APETAGEX" + fields + struct.pack("<I", 0xA0000000) + bytes(8) if header else b""
    return begin + items + b"APETAGEX" + fields + struct.pack("<I", 0x80000000 if header else 0) + bytes(8)


ID3V1 = b"TAG" + b"title".ljust(125, b"\0")
LYRICS3V1 = b"LYRICSBEGIN" + FALSE_FRAMES + b"LYRICSEND"
_WORDS = b"LYRICSBEGININD0000200LYR%05d" % len(FALSE_FRAMES) + FALSE_FRAMES
LYRICS3V2 = _WORDS + b"%06dLYRICS200" % len(_WORDS)

AROUND = {
    "ID3v1": (b"", ID3V1),
    "ID3v1 extended": (b"", b"TAG+" + FALSE_FRAMES[:223] + ID3V1),
    "ID3v2.3": (id3v2(3), b""),
    "ID3v2.4": (id3v2(4), b""),
    "ID3v2.3 and ID3v2.4": (id3v2(3) + id3v2(4), b""),
    "ID3v2.4 behind": (b"", id3v2(4, footer=True)),
    "APE": (b"", ape()),
    "APE without header": (b"", ape(header=False)),
    "APE and ID3v1": (b"", ape() + ID3V1),
    "Lyrics3": (b"", LYRICS3V1 + ID3V1),
    "Lyrics3v2": (b"", LYRICS3V2 + ID3V1),
    "all of them": (id3v2(4), id3v2(4, footer=True) + ape() + LYRICS3V2 + ID3V1),
    "zeros behind": (b"", bytes(3000)),
    "text behind": (b"", b"nothing to hear " * 100),
}


@pytest.mark.parametrize(("before", "behind"), AROUND.values(), ids=AROUND.keys())
def test_tags_around_an_mp3_do_not_count(media: Path, tmp_path: Path, before: bytes, behind: bytes) -> None:
    """However an MP3 is tagged, even with a cover that holds false frames, its frames are the same."""
    tagged = tmp_path / "tagged.mp3"
    tagged.write_bytes(before + (media / "plain.mp3").read_bytes() + behind)
    assert are_equal(media / "plain.mp3", tagged)


@pytest.mark.parametrize("name", ["plain.flac", "plain.aac", "plain.wv", "plain.tta"])
def test_tags_behind_other_sounds_do_not_count(media: Path, tmp_path: Path, name: str) -> None:
    """APE and ID3v1 tags, which belong behind some formats and are put behind others, are no sound."""
    tagged = tmp_path / name
    tagged.write_bytes((media / name).read_bytes() + ape() + ID3V1)
    assert are_equal(media / name, tagged)


def test_tags_in_front_of_flac_do_not_count(media: Path, tmp_path: Path) -> None:
    """Programs put ID3v2 in front of FLAC against its definition; the sound is the same, and its MD5 is found."""
    tagged = tmp_path / "tagged.flac"
    tagged.write_bytes(id3v2(4) + (media / "plain.flac").read_bytes())
    assert are_equal(media / "plain.flac", tagged)
    assert of(tagged).pcm_md5 == of(media / "plain.flac").pcm_md5


@pytest.mark.parametrize("place", ["file", "matroska"])
def test_a_table_of_frames_is_no_sound(media: Path, tmp_path: Path, place: str) -> None:
    """The frame with the Xing or LAME header does not count, even where a container carries it as a packet."""
    plain = (media / "plain.mp3").read_bytes()
    with_table = sound(tmp_path / "table.mp3", "libmp3lame", container={"write_xing": "1", "id3v2_version": "0"})
    content = with_table.read_bytes()
    assert len(content) > len(plain)
    assert b"Xing" in content[:60] or b"Info" in content[:60]
    if place == "file":
        assert are_equal(media / "plain.mp3", with_table)
        return
    carried = tmp_path / "table.mka"
    with av.open(os.fspath(media / "plain.mp3")) as given, av.open(os.fspath(carried), "w") as output:
        stream = output.add_stream_from_template(given.streams[0])
        table = av.Packet(content[: len(content) - len(plain)])
        table.pts = table.dts = 0
        for packet in [table, *given.demux()]:
            if packet.dts is not None:
                packet.stream, packet.time_base = stream, given.streams[0].time_base or Fraction(1, 1000)
                output.mux(packet)
    assert are_equal(media / "plain.mp3", carried)


def test_pictures_subtitles_and_chapters_do_not_count(media: Path, tmp_path: Path) -> None:
    """A cover, subtitles and chapters change nothing."""
    covered = tmp_path / "covered.flac"
    plain = (media / "plain.flac").read_bytes()
    png = b"\x89PNG\r\n\x1a\n" + bytes(200)
    block = struct.pack(">II9sI", 3, 9, b"image/png", 0) + struct.pack(">IIIII", 1, 1, 24, 0, len(png)) + png
    covered.write_bytes(plain[:42] + b"\x06" + len(block).to_bytes(3, "big") + block + plain[42:])
    assert are_equal(media / "plain.flac", covered)
    (tmp_path / "words.srt").write_text("1\n00:00:00,100 --> 00:00:00,900\nHello\n")
    spoken = tmp_path / "spoken.mkv"
    with (
        av.open(os.fspath(media / "film.mp4")) as given,
        av.open(os.fspath(tmp_path / "words.srt")) as words,
        av.open(os.fspath(spoken), "w") as output,
    ):
        title = {"title": "x"}
        output.set_chapters([{"id": 1, "start": 0, "end": 900, "time_base": Fraction(1, 1000), "metadata": title}])
        for source in (given, words):
            for stream in source.streams:
                output.add_stream_from_template(stream, opaque=True)
        for source in (given, words):
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = output.streams[packet.stream_index + 2 * (source is words)]
                    output.mux(packet)
    with av.open(os.fspath(spoken)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio", "subtitle"]
    assert are_equal(media / "film.mp4", spoken)


# --- PCM and lossless sound


@pytest.mark.parametrize(
    ("bits", "form", "files"),
    [
        (8, "u8", {"a.wav": "pcm_u8", "a.aiff": "pcm_s8", "a.mov": "pcm_s8", "a.mka": "pcm_u8"}),
        (16, "s16", {"a.wav": "pcm_s16le", "a.aiff": "pcm_s16be", "le.mov": "pcm_s16le", "be.mov": "pcm_s16be"}),
        (16, "s16", {"a.au": "pcm_s16be", "a.caf": "pcm_s16le", "be.caf": "pcm_s16be", "a.w64": "pcm_s16le"}),
        (24, "s32", {"a.wav": "pcm_s24le", "a.aiff": "pcm_s24be", "a.mov": "pcm_s24be", "a.mka": "pcm_s24le"}),
        (32, "s32", {"a.wav": "pcm_s32le", "a.aiff": "pcm_s32be", "a.mka": "pcm_s32le", "a.caf": "pcm_s32be"}),
    ],
)
def test_pcm_is_the_same_in_every_byte_order(tmp_path: Path, bits: int, form: str, files: dict[str, str]) -> None:
    """Uncompressed sound of equal samples has one essence, however a container orders and cuts its bytes."""
    samples = noise(0.5, bits=bits)
    made = [of(sound(tmp_path / name, codec, samples, form=form)) for name, codec in files.items()]
    assert {essence.key(one) for one in made} == {essence.key(made[0])}
    assert all(essence.same(made[0], one) for one in made)


def test_pcm_of_another_rate_or_layout_is_another(tmp_path: Path) -> None:
    """The same bytes played as one or as two channels are not the same sound."""
    samples = noise(0.2)
    one = of(sound(tmp_path / "stereo.wav", "pcm_s16le", samples))
    other = of(sound(tmp_path / "mono.wav", "pcm_s16le", samples, layout="mono"))
    assert essence.key(one) != essence.key(other)


LOSSLESS = {
    8: {"a.wav": "pcm_u8", "a.aiff": "pcm_s8", "a.wv": "wavpack", "a.tta": "tta"},
    16: {
        "a.flac": "flac",
        "a.m4a": "alac",
        "a.wav": "pcm_s16le",
        "a.aiff": "pcm_s16be",
        "a.wv": "wavpack",
        "a.tta": "tta",
    },
    24: {
        "a.flac": "flac",
        "a.m4a": "alac",
        "a.wav": "pcm_s24le",
        "a.aiff": "pcm_s24be",
        "a.wv": "wavpack",
        "a.tta": "tta",
    },
    32: {"a.wav": "pcm_s32le", "a.wv": "wavpack"},
}


@pytest.mark.parametrize("bits", LOSSLESS)
def test_lossless_copies_decode_to_one_md5(tmp_path: Path, bits: int) -> None:
    """FLAC, ALAC, WavPack, TTA, WAV and AIFF of the same samples share the MD5 that FLAC's header holds."""
    samples = noise(0.3, bits=bits)
    form = {8: "u8", 16: "s16"}.get(bits, "s32")
    paths = {codec: sound(tmp_path / name, codec, samples, form=form) for name, codec in LOSSLESS[bits].items()}
    flac_bytes = {
        8: bytes(byte ^ 0x80 for byte in samples),
        24: b"".join(samples[at + 1 : at + 4] for at in range(0, len(samples), 4)),
    }.get(bits, samples)
    expected = hashlib.md5(flac_bytes).digest()
    assert {codec: essence.pcm_md5_of(opened(path)) for codec, path in paths.items()} == dict.fromkeys(paths, expected)
    if "flac" in paths:
        assert of(paths["flac"]).pcm_md5 == expected
        assert of(copied(paths["flac"], tmp_path / "flac.mka")).pcm_md5 == expected


def test_32_bits_of_which_24_are_used_are_24(tmp_path: Path) -> None:
    """A WAV of 32 bits whose lowest ones are empty holds the samples of a FLAC of 24 bits."""
    samples = noise(0.3, bits=24)
    wide = sound(tmp_path / "wide.wav", "pcm_s32le", samples, form="s32")
    flac = sound(tmp_path / "narrow.flac", "flac", samples, form="s32")
    assert essence.pcm_md5_of(opened(wide)) == of(flac).pcm_md5


def test_odd_depths_are_digested_as_flac_does() -> None:
    """Samples of 20 or 12 bits are taken from the upper end of what decoders give, with their sign."""
    frame = av.AudioFrame(format="s32", layout="mono", samples=3)
    frame.planes[0].update(struct.pack("<iii", 5 << 12, -7 << 12, -1 << 12))
    assert essence._samples(frame, 20) == b"\x05\0\0" + b"\xf9\xff\xff" + b"\xff\xff\xff"
    frame = av.AudioFrame(format="s16", layout="mono", samples=2)
    frame.planes[0].update(struct.pack("<hh", 5 << 4, -7 << 4))
    assert essence._samples(frame, 12) == struct.pack("<hh", 5, -7)


def test_compression_levels_of_flac_differ_in_packets_but_not_in_samples(tmp_path: Path) -> None:
    """FLAC at level 12 is another stream than at level 5, and has the same MD5 of its samples."""
    one, other = (
        of(sound(tmp_path / f"{level}.flac", "flac", chord(), options={"compression_level": level}))
        for level in ("5", "12")
    )
    assert essence.key(one) != essence.key(other)
    assert one.pcm_md5 == other.pcm_md5 == hashlib.md5(chord()).digest()


def test_an_md5_of_zeros_is_none(media: Path, tmp_path: Path) -> None:
    """An encoder that did not know the samples writes zeros, which are no MD5."""
    content = bytearray((media / "plain.flac").read_bytes())
    content[26:42] = bytes(16)
    (tmp_path / "unknown.flac").write_bytes(content)
    assert of(tmp_path / "unknown.flac").pcm_md5 is None


@pytest.mark.parametrize("name", ["plain.mp3", "plain.m4a", "plain.ogg", "film.mp4", "mpeg2.mkv"])
def test_lossy_sound_and_films_have_no_md5(media: Path, name: str) -> None:
    """What was compressed with losses is not decoded, nor is a film; neither has an MD5."""
    assert essence.pcm_md5_of(opened(media / name)) is None
    assert of(media / name).pcm_md5 is None


def test_samples_that_are_no_integers_have_no_md5(tmp_path: Path) -> None:
    """Floating point has no counterpart in FLAC."""
    assert essence.pcm_md5_of(opened(sound(tmp_path / "a.wav", "pcm_f32le", noise(0.1)))) is None


# --- what is not the same


def test_another_encoding_is_not_the_same(media: Path, tmp_path: Path) -> None:
    """The same pictures or sounds at another bit rate are other streams."""
    assert not are_equal(media / "film.mp4", film(tmp_path / "small.mp4", bit_rate=50_000))
    assert not are_equal(media / "film.mp4", film(tmp_path / "hevc.mp4", "libx265"))
    other = sound(tmp_path / "other.mp3", "libmp3lame", options={"b": "96k"})
    assert not are_equal(media / "plain.mp3", other)


def test_a_film_without_its_end_is_not_the_same(media: Path, tmp_path: Path) -> None:
    """A copy that lacks packets is another one."""
    short = tmp_path / "short.mkv"
    with av.open(os.fspath(media / "film.mp4")) as given, av.open(os.fspath(short), "w") as output:
        streams = {stream.index: output.add_stream_from_template(stream) for stream in given.streams}
        for packet in given.demux():
            if packet.dts is not None and packet.pts is not None and packet.pts * packet.time_base < Fraction(19, 10):
                packet.stream = streams[packet.stream_index]
                output.mux(packet)
    assert essence.key(of(short)) != essence.key(of(media / "film.mp4"))


def with_edit_list(content: bytes, start: float, end: float) -> bytes:
    """Change the edit lists of a film so that it begins and ends that many seconds later and earlier."""
    changed = bytearray(content)
    at = changed.find(b"elst")
    while at >= 0:
        duration, media_time = struct.unpack_from(">Ii", changed, at + 12)
        scale = int.from_bytes(changed[(mdhd := changed.find(b"mdhd", at)) + 16 : mdhd + 20], "big")
        struct.pack_into(
            ">Ii", changed, at + 12, round(duration - 1000 * (start + end)), media_time + round(start * scale)
        )
        at = changed.find(b"elst", at + 4)
    return bytes(changed)


@pytest.mark.parametrize(
    ("start", "end", "is_same"),
    [(0, 0, True), (0.2, 0, True), (1, 0, False), (0, 1, False), (0.6, 0.6, False), (2, 0, False), (0, 2, False)],
)
def test_a_cut_by_edit_list_is_never_proposed(tmp_path: Path, start: float, end: float, *, is_same: bool) -> None:
    """Pictures that all are in the file, but of which a second or more is hidden, are not the same film."""
    whole = film(tmp_path / "whole.mp4", seconds=4, audio=None, options={"g": "1000"})  # one group: nothing is left out
    (tmp_path / "cut.mp4").write_bytes(with_edit_list(whole.read_bytes(), start, end))
    one, other = of(whole), of(tmp_path / "cut.mp4")
    assert essence.key(one) == essence.key(other)
    assert essence.same(one, other) is is_same


def stream(duration: float | None, *, type_: str = "audio", digest: bytes = b"1") -> Stream:
    return Stream(type_, "aac", digest, duration)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ([stream(10)], [stream(10.99)], True),
        ([stream(10)], [stream(11)], False),
        ([stream(10)], [stream(None)], False),
        ([stream(None)], [stream(None)], False),
        ([stream(10)], [stream(10, digest=b"2")], False),
        ([stream(10)], [stream(10, type_="video")], False),
        ([stream(10)], [stream(10), stream(10)], False),
        ([stream(10), stream(20, type_="video")], [stream(20, type_="video"), stream(10)], True),
        ([stream(10), stream(20, type_="video")], [stream(10), stream(21.5, type_="video")], False),
        ([stream(10), stream(None)], [stream(None), stream(10)], False),
    ],
)
def test_same_asks_for_equal_streams_of_equal_duration(
    one: list[Stream], other: list[Stream], *, is_same: bool
) -> None:
    """Streams are compared whatever their order; an unknown duration is not an equal one."""
    assert essence.same(Essence(tuple(one)), Essence(tuple(other))) is is_same
    assert essence.same(Essence(tuple(other)), Essence(tuple(one))) is is_same


# --- damage


def refusal(path: Path) -> str:
    with pytest.raises(Refused) as refused:
        of(path)
    return str(refused.value)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("film.mkv", "prematurely"),
        ("again.mkv", "prematurely"),  # the same words twice in a row
        ("front.mp4", "partial file|not whole"),
        ("fragments.mp4", "damaged"),
        ("plain.flac", "1.0 seconds are declared"),
        ("table.mp3", "1.0 seconds are declared"),
        ("plain.wav", "not whole"),
        ("plain.aiff", "1.0 seconds are declared"),
        ("plain.tta", "not whole"),
        ("plain.wv", "Invalid|damaged"),
        ("film.mp4", "Invalid|moov"),
    ],
)
def test_a_file_that_was_cut_has_no_essence(media: Path, tmp_path: Path, name: str, why: str) -> None:
    """Of a truncated file there is a reason instead of the essence of what is left."""
    whole = tmp_path / name
    if name in {"film.mkv", "again.mkv"}:
        copied(media / "film.mp4", whole)
    elif name in {"front.mp4", "fragments.mp4"}:
        flags = "faststart" if name == "front.mp4" else "frag_keyframe+empty_moov"
        copied(media / "film.mp4", whole, container={"movflags": flags})
    elif name in {"plain.wav", "plain.aiff"}:
        sound(whole, "pcm_s16le" if name == "plain.wav" else "pcm_s16be")
    elif name == "table.mp3":
        sound(whole, "libmp3lame")
    else:
        shutil.copy(media / name, whole)
    of(whole)
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) * 6 // 10 | 1])
    assert re.search(why, refusal(whole))


@pytest.mark.parametrize("name", ["film.mp4", "hevc.mp4"])
def test_pictures_without_their_parameters_have_no_essence(media: Path, tmp_path: Path, name: str) -> None:
    """Parameter sets are outside of the digest, so a film whose own are destroyed must not equal the good one."""
    content = bytearray((media / name).read_bytes())
    at = content.index(b"avcC" if name == "film.mp4" else b"hvcC") + 4
    at += 10 if name == "film.mp4" else 60
    content[at : at + 8] = bytes(8)
    (tmp_path / name).write_bytes(content)
    assert "damaged" in refusal(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"\xff\xfb", bytes(5000), b"RIFF\x24\0\0\0WAVEfmt ", os.urandom(5000)])
def test_what_is_no_media_is_refused(tmp_path: Path, content: bytes) -> None:
    """Without a stream there is no essence and no MD5, but a reason."""
    (tmp_path / "file.wav").write_bytes(content)
    assert refusal(tmp_path / "file.wav")
    with pytest.raises(Refused):
        essence.pcm_md5_of(opened(tmp_path / "file.wav"))


def test_a_file_that_becomes_shorter_has_no_essence(media: Path, tmp_path: Path) -> None:
    """The end of the bytes before the end of the file is a change, not the end of the sound."""
    shutil.copy(media / "plain.mp3", tmp_path / "a.mp3")
    file = opened(tmp_path / "a.mp3")
    os.truncate(tmp_path / "a.mp3", file.size - 5000)
    with pytest.raises(Refused, match="became shorter"):
        essence.of(file)


def test_a_read_error_gives_no_essence(media: Path) -> None:
    """Where the system refuses the bytes, its reason is told."""
    fd = os.open("/", os.O_RDONLY)
    try:
        with pytest.raises(Refused, match="Is a directory"):
            essence.of(Opened(fd, 5000, b"/a.mp3", Kind.AUDIO))
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{path}\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile {path}\n"),
        ("list.mp3", "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:1/x.ts\n#EXT-X-ENDLIST\n"),
    ],
)
def test_a_list_of_other_files_is_not_followed(media: Path, tmp_path: Path, name: str, text: str) -> None:
    """No file can have another one opened in its place."""
    (tmp_path / name).write_text(text.format(path=media / "film.mp4"))
    assert refusal(tmp_path / name)


def of_packets(path: Path, template: Path, payload: Callable[[bytes], bytes]) -> Path:
    """The pictures of a film, each changed."""
    with av.open(os.fspath(template)) as given, av.open(os.fspath(path), "w") as output:
        target = output.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                changed = av.Packet(payload(bytes(packet)))
                changed.stream, changed.pts, changed.dts = target, packet.pts, packet.dts
                changed.time_base, changed.is_keyframe = packet.time_base, packet.is_keyframe
                output.mux(changed)
    return path


def test_a_picture_of_countless_units_is_refused(media: Path, tmp_path: Path) -> None:
    """A packet that claims hundreds of thousands of empty units costs nothing."""
    bomb = of_packets(tmp_path / "bomb.mkv", media / "film.mp4", lambda _: bytes(4_000_000))
    assert refusal(bomb)


def test_units_are_cut_the_same_way_behind_lengths_and_behind_start_codes() -> None:
    """NAL units are found in both forms; delimiters and parameter sets are left out, zeros behind a unit cut."""
    units = [b"\x09\xf0", b"\x67\x01", b"\x68\x01", b"\x65abc\0\0", b"\x06sei", b"\x41def", b"", b"\x05x"]
    sized = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
    coded = b"".join((b"\0\0\0\1" if number % 2 else b"\0\0\1") + unit for number, unit in enumerate(units))
    for data, size in ((sized, 4), (coded, 0)):
        digested = bytearray()
        essence._pictures(digested.extend, essence._H264_PICTURES, size)(av.Packet(data))
        assert digested == b"\x65abc" + b"\x41def" + b"\x05x"


@pytest.mark.parametrize("data", [b"\0\0\0\1" * 30_000, b"\0\0\1e" * 30_000])
def test_units_without_end_are_refused(data: bytes) -> None:
    """More units than any picture has are damage, in both forms."""
    for size in (0, 1):
        with pytest.raises(Refused, match="more than"):
            essence._pictures(lambda _: None, essence._H264_PICTURES, size)(av.Packet(data + bytes(30_000)))
    with pytest.raises(Refused, match="more than"):
        essence._frames_and_tiles(lambda _: None)(av.Packet(b"\x12\0" * 30_000))


def test_adts_headers_are_known_by_their_length() -> None:
    """Only a header whose length is that of the packet is one."""
    frame = b"\xff\xf1\x50\x80\x02\x1f\xfc" + b"123456789"
    assert len(frame) == 16
    assert essence._without_adts(frame) == b"123456789"
    assert essence._without_adts(frame + b"x") == frame + b"x"


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Some hundred megabytes of sound are digested within 32 MB of additional memory."""
    path = tmp_path / "long.wav"
    size = 300 << 20
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", size + 36, b"WAVE", b"fmt ", 16, 1, 2, 44_100, 176_400, 4, 16, b"data", size
    )
    path.write_bytes(header)
    os.truncate(path, size + 44)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert of(path).streams[0].duration == pytest.approx(size / 176_400)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024  # KiB


def test_the_log_of_ffmpeg_is_left_as_it_was(media: Path) -> None:
    """What was set for FFmpeg's log is set again afterwards, after a success and after a failure."""
    before = (av.logging.get_level(), av.logging.get_skip_repeated())
    of(media / "film.mp4")
    assert (av.logging.get_level(), av.logging.get_skip_repeated()) == before
    with pytest.raises(Refused):
        essence.of(replace(opened(media / "film.mp4"), size=100))
    assert (av.logging.get_level(), av.logging.get_skip_repeated()) == before


def test_the_descriptor_stays_open_where_it_was(media: Path) -> None:
    """The caller's descriptor is read by offset and left open."""
    file = opened(media / "film.mp4")
    os.lseek(file.fd, 77, os.SEEK_SET)
    essence.of(file)
    assert os.lseek(file.fd, 0, os.SEEK_CUR) == 77


def test_real_files_have_an_essence_or_a_reason(corpus: Path) -> None:
    """Of the sounds and films of the corpus each is digested or refused, and none is the same as a longer one."""
    by_key: dict[bytes, list[float]] = {}
    counts = {"digested": 0, "refused": 0}
    for path in sorted((corpus / "files").iterdir()):
        file = opened(path)
        try:
            if file.kind in {Kind.AUDIO, Kind.VIDEO}:
                found = essence.of(file)
                by_key.setdefault(essence.key(found), []).append(max(one.duration or 0.0 for one in found.streams))
                counts["digested"] += 1
        except Refused:
            counts["refused"] += 1
        finally:
            os.close(file.fd)
    assert counts["digested"] > 3 * counts["refused"]
    assert all(max(durations) - min(durations) < essence.SECONDS for durations in by_key.values())
