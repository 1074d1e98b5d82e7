"""Compressed bodies: inflated while they stream, and never further than a body may be large."""

import zlib

from domain.errors import Refused

_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""By content coding, what tells zlib the format (RFC 9110, 8.4.1)."""

_MOST_MEMBERS = 100
"""A gzip file may be several, one after the other; more than this are made to keep us busy."""


class Inflater:
    """Inflates one body.

    Args:
        coding: its content coding.
        room: how many bytes may come out.

    Raises:
        Refused: a coding that is not understood.
    """

    def __init__(self, coding: str, room: int) -> None:
        if coding not in _WINDOWS:
            raise Refused(f"content encoding {coding[:20]!r} is not understood", status=415)
        self._coding = coding
        self._largest = self._room = room
        self._members = 0
        self._member = self._begin()

    def feed(self, data: bytes) -> bytes:
        """Inflate what follows.

        Raises:
            Refused: it is not in that coding, or more than there is room for.
        """
        pieces: list[bytes] = []
        while data:
            if self._member.eof:
                self._member = self._begin()
            try:
                piece = self._member.decompress(data, self._room + 1)
            except zlib.error as error:
                raise Refused(f"the body is not {self._coding}: {error}") from None
            self._room -= len(piece)
            if self._room < 0:
                raise Refused(f"the body is larger than {self._largest} bytes", status=413)
            pieces.append(piece)
            data = self._member.unused_data
        return b"".join(pieces)

    def finish(self) -> None:
        """The body has ended.

        Raises:
            Refused: before its time.
        """
        if not self._member.eof:
            raise Refused(f"the {self._coding} body broke off")

    def _begin(self) -> "zlib._Decompress":
        self._members += 1
        if self._members > (1 if self._coding == "deflate" else _MOST_MEMBERS):
            raise Refused(f"the {self._coding} body goes on after its end")
        return zlib.decompressobj(_WINDOWS[self._coding])
