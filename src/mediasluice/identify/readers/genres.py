"""Turn the genres of ID3 and its heirs into names: numbers, references in parentheses, or text that stands already.

Takes the text of a genre as it is written: ``17``, ``(17)``, ``(17)Rock``, ``(4)Eurodisco``, ``(RX)``, ``Rock``.
Gives a name; several are joined by ``;``. Numbers that no list knows stay as they are.
Fails with: nothing.
Source: ID3v1 (0 to 79), the extensions of Winamp (80 to 191), ID3v2.3.0 section 4.2.1 (TCON) for the references.
"""

from __future__ import annotations

import re

# fmt: off
GENRES = (
    "Blues", "Classic Rock", "Country", "Dance", "Disco", "Funk", "Grunge", "Hip-Hop", "Jazz", "Metal",
    "New Age", "Oldies", "Other", "Pop", "R&B", "Rap", "Reggae", "Rock", "Techno", "Industrial",
    "Alternative", "Ska", "Death Metal", "Pranks", "Soundtrack", "Euro-Techno", "Ambient", "Trip-Hop", "Vocal",
    "Jazz+Funk", "Fusion", "Trance", "Classical", "Instrumental", "Acid", "House", "Game", "Sound Clip", "Gospel",
    "Noise", "AlternRock", "Bass", "Soul", "Punk", "Space", "Meditative", "Instrumental Pop", "Instrumental Rock",
    "Ethnic", "Gothic", "Darkwave", "Techno-Industrial", "Electronic", "Pop-Folk", "Eurodance", "Dream",
    "Southern Rock", "Comedy", "Cult", "Gangsta", "Top 40", "Christian Rap", "Pop/Funk", "Jungle",
    "Native American", "Cabaret", "New Wave", "Psychedelic", "Rave", "Showtunes", "Trailer", "Lo-Fi", "Tribal",
    "Acid Punk", "Acid Jazz", "Polka", "Retro", "Musical", "Rock & Roll", "Hard Rock",
    "Folk", "Folk-Rock", "National Folk", "Swing", "Fast Fusion", "Bebop", "Latin", "Revival", "Celtic",
    "Bluegrass", "Avantgarde", "Gothic Rock", "Progressive Rock", "Psychedelic Rock", "Symphonic Rock", "Slow Rock",
    "Big Band", "Chorus", "Easy Listening", "Acoustic", "Humour", "Speech", "Chanson", "Opera", "Chamber Music",
    "Sonata", "Symphony", "Booty Bass", "Primus", "Porn Groove", "Satire", "Slow Jam", "Club", "Tango", "Samba",
    "Folklore", "Ballad", "Power Ballad", "Rhythmic Soul", "Freestyle", "Duet", "Punk Rock", "Drum Solo",
    "A Cappella", "Euro-House", "Dance Hall", "Goa", "Drum & Bass", "Club-House", "Hardcore", "Terror", "Indie",
    "BritPop", "Afro-Punk", "Polsk Punk", "Beat", "Christian Gangsta Rap", "Heavy Metal", "Black Metal",
    "Crossover", "Contemporary Christian", "Christian Rock", "Merengue", "Salsa", "Thrash Metal", "Anime", "JPop",
    "Synthpop", "Abstract", "Art Rock", "Baroque", "Bhangra", "Big Beat", "Breakbeat", "Chillout", "Downtempo",
    "Dub", "EBM", "Eclectic", "Electro", "Electroclash", "Emo", "Experimental", "Garage", "Global", "IDM",
    "Illbient", "Industro-Goth", "Jam Band", "Krautrock", "Leftfield", "Lounge", "Math Rock", "New Romantic",
    "Nu-Breakz", "Post-Punk", "Post-Rock", "Psytrance", "Shoegaze", "Space Rock", "Trop Rock", "World Music",
    "Neoclassical", "Audiobook", "Audio Theatre", "Neue Deutsche Welle", "Podcast", "Indie Rock", "G-Funk",
    "Dubstep", "Garage Rock", "Psybient",
)
# fmt: on
_LETTERS = {"RX": "Remix", "CR": "Cover"}
_REFERENCE = re.compile(r"\((\d{1,3}|RX|CR)\)", re.ASCII)


def named(text: str) -> str:
    """The name of a genre that may be written as a number."""
    rest, names = text.strip(), []
    while found := _REFERENCE.match(rest):
        names.append(_name(found[1]))
        rest = rest[found.end() :].strip()
    rest = rest[1:] if rest.startswith("((") else rest  # how a name is written that begins with a parenthesis
    if names and not rest:
        return ";".join(dict.fromkeys(names))
    return rest if names else _name(rest)  # words behind a number refine what it says, or say it again


def _name(reference: str) -> str:
    if reference in _LETTERS:
        return _LETTERS[reference]
    if reference.isascii() and reference.isdigit() and len(reference) <= 3 and int(reference) < len(GENRES):
        return GENRES[int(reference)]
    return reference
