"""A read-only, seekable file object over an object in a bucket. It reads ranges and caches recent blocks."""

from collections import OrderedDict

from email_sender.vectors.imports.point_files import RangedFile

_BLOCK_BYTES = 4 * 1024 * 1024
# A column reader alternates between columns, so this many blocks of 4 MiB are cached.
_MAX_BLOCKS = 24


class SeekableFile:
    """`tail` replaces the bytes of the file from `tail_at` on.

    `failure` holds the last exception of a read, because native readers hide it behind errors of their own.
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
                number, begin = divmod(self._at, _BLOCK_BYTES)
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
        block = self._blocks.get(number)
        if block is None:
            begin = number * _BLOCK_BYTES
            try:
                block = self._file.read(begin, min(_BLOCK_BYTES, self._tail_at - begin))
            except Exception as error:
                self.failure = error
                raise
            self._blocks[number] = block
            if len(self._blocks) > _MAX_BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return block
