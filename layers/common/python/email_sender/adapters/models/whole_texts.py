"""What an embedding model for any text does with mail and with questions. For models that know no difference."""

from collections.abc import Sequence
from typing import Protocol

from email_sender.vectors.ports import MailText, MailVectors


class _TextEmbedder(Protocol):
    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]: ...


class WholeTexts:
    """Adds the methods of vectors.ports.Embedder for mail to a model with only `embed`."""

    passage_part = slice(None)

    def embed_questions(self: _TextEmbedder, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return self.embed(texts)

    def embed_mail(self: _TextEmbedder, mails: Sequence[MailText]) -> Sequence[MailVectors]:
        texts = [text for mail in mails for text in (mail.whole, *mail.passages)]
        vectors = iter(self.embed(texts))
        return [MailVectors(next(vectors), [next(vectors) for _ in mail.passages]) for mail in mails]

    def weakest_match(self, _question: str, /) -> float | None:
        """Nobody has measured which similarity of this model is a match: a search never says "nobody"."""
        return None
