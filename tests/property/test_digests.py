from __future__ import annotations

import hashlib
import os
import tempfile

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_128_digest, xxh64_hexdigest

from mediasluice.identify import digests

# Sizes around the borders of the samples, of the buffer and of the copying between them.
sizes = st.one_of(
    st.integers(0, 300),
    st.integers(48 * 1024 - 2, 48 * 1024 + 5000),
    st.integers(256 * 1024 - 20_000, 256 * 1024 + 20_000),
    st.integers(500_000, 560_000),
)


def content_of(size: int, seed: int) -> bytes:
    """Bytes without a period that a sample or a buffer could hide."""
    return hashlib.shake_128(seed.to_bytes(8, "big")).digest(size)


@given(sizes, st.integers(0, 1 << 60))
def test_digest_of_chunks_is_digest_of_the_whole(size: int, seed: int) -> None:
    """Read in pieces, a file has the digests of its whole content, and the samples of a file read alone."""
    content = content_of(size, seed)
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(content)
        reading = digests.read(file.fileno(), size, frozenset({"blake3", "xxh128", "sha256"}))
        assert reading.digests.blake3 == blake3(content).digest() == digests.content(file.fileno(), size)
        assert reading.digests.xxh128 == xxh3_128_digest(content)
        assert reading.digests.sha256 == hashlib.sha256(content).digest()
        assert reading.quick == digests.quick(file.fileno(), size)


@given(st.integers(1, 2000), st.integers(1, 900), st.integers(0, 1 << 60))
def test_sample_hash_equals_its_definition(size: int, sample: int, seed: int) -> None:
    """The sample digest is that of the first, middle and last bytes, as the protocol defines them."""
    content = content_of(size, seed)
    expected = content[: min(sample, size)]
    if size > sample:
        middle = max(0, size // 2 - sample // 2)
        expected += content[middle : middle + min(sample, size - middle)]
    if size > 2 * sample:
        expected += content[-sample:]
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(content)
        assert digests.sample_hash("xxhash64", file.fileno(), size, sample) == xxh64_hexdigest(expected)
        assert digests.sample_hash("blake3", file.fileno(), size, sample) == blake3(expected).hexdigest()
        assert digests.sample_hash("sha256", file.fileno(), size, sample) == hashlib.sha256(expected).hexdigest()


def test_a_sample_larger_than_the_buffer() -> None:
    """Samples of 4 MiB, the agents' default, go through the buffer in pieces."""
    size, sample = 9 << 20, 4 << 20
    content = os.urandom(size)
    expected = content[:sample] + content[(size - sample) // 2 :][:sample] + content[-sample:]
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(content)
        assert digests.sample_hash("blake3", file.fileno(), size, sample) == blake3(expected).hexdigest()
