"""A file in a bucket as a file object that only reads: ranges of it, in blocks that are kept for a while."""

from collections import OrderedDict

from email_sender.vectors.bulk_model import RangedFile

_BLOCK = 4 * 1024 * 1024
# A reader of columns goes on in each of them in turn: so many places, of 4 MiB each, are kept.
_BLOCKS = 24


class RangeFile:
    """`tail` stands in place of the file's bytes from `tail_at` on.

    What a read raised is kept in `failure`: readers in other languages hide it behind errors of their own.
    """

    def __init__(self, file: RangedFile, tail_at: int, tail: bytes) -> None:
        self._file, self._tail_at, self._tail = file, tail_at, tail
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._at = 0
        self.failure: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        end = self._tail_at + len(self._tail)
        stop = end if size < 0 else min(end, self._at + size)
        pieces = []
        while self._at < stop:
            if self._at >= self._tail_at:
                pieces.append(self._tail[self._at - self._tail_at : stop - self._tail_at])
            else:
                number, begin = divmod(self._at, _BLOCK)
                pieces.append(self._block(number)[begin : begin + stop - self._at])
            self._at += len(pieces[-1])
        return b"".join(pieces)

    def seek(self, offset: int, whence: int = 0) -> int:
        start = {0: 0, 1: self._at, 2: self._tail_at + len(self._tail)}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def _block(self, number: int) -> bytes:
        found = self._blocks.get(number)
        if found is None:
            begin = number * _BLOCK
            try:
                found = self._file.read(begin, min(_BLOCK, self._tail_at - begin))
            except Exception as error:
                self.failure = error
                raise
            self._blocks[number] = found
            if len(self._blocks) > _BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return found
