import gzip
import random
import zlib

import pytest

from api.encoding import Inflater
from domain.errors import Refused

LARGEST = 100_000
WHOLE = gzip.compress(b'{"a":1}', mtime=0)


def inflate(body: bytes, coding: str = "gzip", *, piece: int = 7) -> bytes:
    inflater = Inflater(coding, LARGEST)
    out = b"".join(inflater.feed(body[i : i + piece]) for i in range(0, len(body), piece))
    inflater.finish()
    return out


def refused(body: bytes, coding: str = "gzip") -> Refused:
    for piece in (1, 7, len(body) or 1):
        with pytest.raises(Refused) as caught:
            inflate(body, coding, piece=piece)
    return caught.value


@pytest.mark.parametrize("size", [0, 1, 1_000, LARGEST])
def test_what_was_compressed_comes_out_however_it_is_cut(size: int) -> None:
    text = random.Random(size).randbytes(size)
    for piece in (1, 1_000, LARGEST):
        assert inflate(gzip.compress(text), piece=piece) == text
        assert inflate(gzip.compress(text), "x-gzip", piece=piece) == text
        assert inflate(zlib.compress(text), "deflate", piece=piece) == text


def test_several_members_are_one_body() -> None:
    assert (
        inflate(gzip.compress(b'{"a":') + gzip.compress(b"") + gzip.compress(b"1}")) == b'{"a":1}'
    )


def test_no_more_comes_out_than_there_is_room_for() -> None:
    bomb = gzip.compress(bytes(LARGEST + 1))
    assert refused(bomb).status == 413
    assert refused(gzip.compress(bytes(LARGEST)) + gzip.compress(b"1")).status == 413
    assert refused(zlib.compress(bytes(LARGEST + 1)), "deflate").status == 413


def test_a_bomb_is_not_inflated_beyond_its_first_bytes() -> None:
    inflater = Inflater("gzip", LARGEST)
    bomb = gzip.compress(bytes(50_000_000))
    with pytest.raises(Refused):
        inflater.feed(bomb)
    assert len(inflater._member.unconsumed_tail) > 0.9 * len(bomb)


def test_members_without_end_are_refused() -> None:
    assert "goes on" in refused(gzip.compress(b"") * 101).reason
    assert "goes on" in refused(zlib.compress(b"a") * 2, "deflate").reason


@pytest.mark.parametrize("cut", [1, 4, 8, 9])
def test_what_broke_off_is_refused(cut: int) -> None:
    assert "broke off" in refused(WHOLE[:-cut]).reason
    assert "broke off" in refused(WHOLE + WHOLE[:-cut]).reason
    assert "broke off" in refused(b"").reason


@pytest.mark.parametrize("before", [b"", WHOLE], ids=["alone", "after a member"])
@pytest.mark.parametrize(
    "body", [b'{"a":1}', zlib.compress(b"a"), bytes(9), WHOLE[:-8] + bytes(8)], ids=repr
)
def test_what_is_no_gzip_or_has_been_altered_is_refused(before: bytes, body: bytes) -> None:
    assert "not gzip" in refused(before + body).reason


def test_what_is_no_deflate_is_refused() -> None:
    assert "not deflate" in refused(gzip.compress(b"a"), "deflate").reason


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "x" * 300])
def test_other_codings_are_not_understood(coding: str) -> None:
    with pytest.raises(Refused, match="not understood") as caught:
        Inflater(coding, LARGEST)
    assert caught.value.status == 415
