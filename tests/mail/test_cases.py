"""Kinds of faults that people reported of programs that read mail, each with several inputs of its kind."""

from datetime import UTC, datetime

import pytest

from email_sender.adapters.mail.text_cleaner import MailTextCleaner
from email_sender.archive.addresses import clean_address, normalise_address
from email_sender.archive.authorship import OwnAddresses, find_contact
from email_sender.archive.mail_kinds import MailKind
from email_sender.archive.mbox import is_deleted, scan, split
from email_sender.archive.message_parser import ParsedMessage, parse
from email_sender.errors import InvalidInput
from email_sender.messaging.greetings import UnknownName, first_name, without_unknown_names
from email_sender.messaging.passages import choose_passage

CLEANER = MailTextCleaner()
HEADERS = "From: Ann Smith <ann@people.example>\nTo: hello@acme.example\nSubject: One\nMessage-ID: <1@people.example>\n"


def mail(body: str | bytes = "Hello.\n", *headers: str) -> bytes:
    head = HEADERS + "".join(f"{header}\n" for header in headers)
    return head.encode() + b"\n" + (body if isinstance(body, bytes) else body.encode())


def read(body: str | bytes = "Hello.\n", *headers: str) -> ParsedMessage:
    return parse(mail(body, *headers), CLEANER)


# ---- Separators of mailbox files (01b, 02) --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "separator",
    [
        "From Ann Smith <ann@people.example>  Thu Aug 22 12:36:23 2024",
        'From "Smith, Ann" <ann@people.example> Thu Aug 22 12:36:23 2024',
        "From 'Ann Smith' Thu Aug 22 12:36:23 2024",
        "From /O=ACME/OU=EXCHANGE/CN=RECIPIENTS/CN=ANN SMITH Thu Aug 22 12:36:23 2024",
        "From ???@??? Thu Aug 22 12:36:23 2024",
        "From ann@people.example",
        "From ",
        "From - Thu Aug 22 12:36:23 2024",
    ],
)
def test_separators_with_any_sender_begin_a_message(separator: str) -> None:
    first, second = mail("One.\n"), mail("Two.\n")
    data = f"{separator}\n".encode() + first + f"\n{separator}\n".encode() + second
    assert [parse(raw, CLEANER).text for raw in split(data)] == ["One.", "Two."]
    assert sum(chunk.messages for chunk in scan([data[:700], data[700:]], target_bytes=10)) == 2


def test_a_full_separator_before_headers_needs_no_empty_line() -> None:
    separator = b"From ann@people.example  Sun Jun  8 12:01:40 2025\n"
    data = separator + mail("One.\n") + separator + mail("Two.\n") + separator + b"went home early\n"
    assert [parse(raw, CLEANER).text for raw in split(data)] == [
        "One.",
        "Two.\nFrom ann@people.example  Sun Jun  8 12:01:40 2025\nwent home early",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "From what Bob said on Monday 12:30 2024 we learn:",
        "From the office, with love",
        "From ann@people.example",
        "From Ann Smith <ann@people.example> I have: nothing",
    ],
)
def test_words_that_begin_like_a_separator_stay_in_the_text(line: str) -> None:
    data = b"From a@b.example Thu Aug 22 12:36:23 2024\n" + mail(f"Hello.\n\n{line}\nand more.\n")
    assert [parse(raw, CLEANER).text for raw in split(data)] == [f"Hello.\n\n{line}\nand more."]


@pytest.mark.parametrize(
    ("header", "deleted"),
    [
        ("X-Mozilla-Status: 0009", True),
        ("X-Mozilla-Status: 0008", True),
        ("X-Mozilla-Status: 0001", False),
        ("X-Status: D", True),
        ("Status: RO", False),
    ],
)
def test_messages_that_were_deleted_in_the_client_are_known(header: str, deleted: bool) -> None:
    assert is_deleted(mail("x\n", header)) is deleted


def test_a_single_message_without_a_separator_is_read() -> None:
    data = mail("One.\n\nFrom here on\n")
    assert [chunk.messages for chunk in scan([data], target_bytes=10)] == [1]
    assert [parse(raw, CLEANER).text for raw in split(data)] == ["One.\n\nFrom here on"]


# ---- Character sets (04) --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("charset", "encoded", "text"),
    [
        ("iso-2022-jp", b"\x1b$B-!8+@Q\x1b(B and \x1b$B-j%5%s%W%k\x1b(B", "①見積 and ㈱サンプル"),
        ("ISO-2022-JP", b"\x1b$B8+@Q\x1b(J", "見積"),
        ("iso-2022-jp", b"\x1b(I1\x1b(B", "ｱ"),
        ("windows-874", "สวัสดี".encode("cp874"), "สวัสดี"),
        ("x-sjis", "①㈱".encode("cp932"), "①㈱"),
        ("windows-949", "똠방각하".encode("cp949"), "똠방각하"),
        ("ks_c_5601-1987", "똠".encode("cp949"), "똠"),
        ("gb2312", "镕".encode("gbk"), "镕"),
        ("iso-8859-1", b"\x93quoted\x94 \x80", "“quoted” €"),
        ("unicode-1-1-utf-8", "Grüße".encode(), "Grüße"),
        ("big5", "裏".encode("big5hkscs"), "裏"),
        ("koi8-r", "Привет".encode("koi8-r"), "Привет"),
        ("hz-gb-2312", "你好".encode("hz"), "你好"),
    ],
)
def test_character_sets_are_read_as_browsers_read_them(charset: str, encoded: bytes, text: str) -> None:
    assert read(encoded + b"\n", f"Content-Type: text/plain; charset={charset}").text == text


def test_html_without_a_charset_names_it_in_its_head() -> None:
    html = '<html><head><meta charset="windows-1251"></head><body>Привет</body></html>'.encode("cp1251")
    assert read(html, "Content-Type: text/html").text == "Привет"


# ---- Encodings and parts (06, 08) -----------------------------------------------------------------------------------


@pytest.mark.parametrize("join", ["\n", "", "\n\n"])
def test_base64_that_was_padded_in_the_middle_is_read_on(join: str) -> None:
    body = f"UGxlYXNlIGNhbGwu{join}Cg=={join}TXkgbnVtYmVyIGlzIDU1NS4="
    assert read(body, "Content-Transfer-Encoding: base64").text == "Please call.\nMy number is 555."


def multipart(*parts: str) -> str:
    return "".join(f"--b\n{part}\n" for part in parts) + "--b--\n"


MIXED = "Content-Type: multipart/mixed; boundary=b"
PDF = "Content-Type: application/pdf; name=a.pdf\nContent-Disposition: attachment; filename=a.pdf\n\nx"


@pytest.mark.parametrize(
    "disposition",
    [
        'Content-Type: text/plain; name="message.txt"\nContent-Disposition: inline; filename="message.txt"',
        'Content-Type: text/plain; name="message.txt"',
        'Content-Type: text/plain\nContent-Disposition: attachment; filename="message.txt"',
        'Content-Type: text/html; name="message.html"',
    ],
)
def test_the_only_text_is_the_body_even_with_a_file_name(disposition: str) -> None:
    parsed = read(multipart(f"{disposition}\n\nPlease sign page 3.", PDF), MIXED)
    assert (parsed.text, parsed.attachments, parsed.attachment_names) == ("Please sign page 3.", 1, ("a.pdf",))


def test_a_text_file_beside_the_body_is_an_attachment() -> None:
    file = 'Content-Type: text/plain\nContent-Disposition: attachment; filename="notes.txt"\n\nmy notes'
    parsed = read(multipart("Content-Type: text/plain\n\nSee the notes.", file), MIXED)
    assert (parsed.text, parsed.attachment_names) == ("See the notes.", ("notes.txt",))


def test_a_mail_of_25_mb_that_mentions_multipart_often_is_read() -> None:
    file = "Content-Type: application/octet-stream; name=log\n\n" + "multipart/mixed in a log line\n" * 800_000
    date = "Date: Mon, 05 May 2025 12:00:00 +0200"
    parsed = read(multipart("Content-Type: text/plain\n\nSee the log.", file), MIXED, date)
    assert (parsed.text, parsed.problems) == ("See the log.", ())


@pytest.mark.parametrize(
    ("parameters", "body", "text"),
    [
        ("format=flowed", "A long line \nthat goes on.\nNew.", "A long line that goes on.\nNew."),
        ("format=flowed; delsp=yes", "長い \n行\n", "長い行"),
        ("format=flowed", " From me\n >no quote\n", "From me\n>no quote"),
        ("format=flowed", "Yes.\n-- \nAnn", "Yes."),
        ("format=flowed", "> quoted \n> on\nAnswer \nhere", "Answer here"),
        ("format=fixed", "A line \nstays", "A line \nstays"),
    ],
)
def test_flowed_text_is_joined(parameters: str, body: str, text: str) -> None:
    assert read(body, f"Content-Type: text/plain; {parameters}").text == text


# ---- References (09) ------------------------------------------------------------------------------------------------

SES_ID = "0102018f2a6b7c8d-3f1e2d4c-5b6a-4788-9a0b-1c2d3e4f5a6b-000000@eu-west-1.amazonses.com"


@pytest.mark.parametrize(
    "header",
    [
        f"References: story.1701689086@people.example\n {SES_ID}",
        f"References: <story.1701689086@people.example> {SES_ID}",
        f"References: <story.1701689086@people.example><{SES_ID}>",
        f"References: story.1701689086@people.example,{SES_ID}",
        f"References: < story.1701689086@people.example > <{SES_ID} >",
    ],
)
def test_references_are_read_with_and_without_brackets(header: str) -> None:
    assert read("x\n", header).references == ("story.1701689086@people.example", SES_ID)


# ---- Authors behind lists and forms (10) ----------------------------------------------------------------------------

LIST = "List-Id: <talk.lists.example.com>\nList-Post: <mailto:talk@lists.example.com>\nPrecedence: list"


@pytest.mark.parametrize(
    ("sender", "headers", "author"),
    [
        ("'Ann Smith' via Talk <talk@lists.example.com>", "Reply-To: Ann Smith <ann@p.example>", "ann@p.example"),
        ("Ann via Talk <talk@lists.example.com>", "X-Original-From: Ann <ann@p.example>", "ann@p.example"),
        ("Ann via Talk <talk@lists.example.com>", "Reply-To: talk@lists.example.com", None),
        ("Ann via Talk <talk@lists.example.com>", "X-Other: x", None),
        ("Ann <ann=40p.example@dmarc.lists.example.com>", "X-Other: x", "ann@p.example"),
        ("Ann <ann@p.example.invalid>", "X-Other: x", "ann@p.example"),
        ("Ann <ann@p.example>", "Reply-To: talk@lists.example.com", "ann@p.example"),
    ],
)
def test_the_list_is_never_the_contact(sender: str, headers: str, author: str | None) -> None:
    raw = f"From: {sender}\nTo: talk@lists.example.com\nMessage-ID: <a@b>\n{headers}\n{LIST}\n\nHello.\n".encode()
    parsed = parse(raw, CLEANER)
    assert (parsed.author.email if parsed.author else None) == author
    assert parsed.kind is MailKind.PERSON


# ---- Quotations that no word list finds (11) ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "block",
    [
        "Fra: Acme <hello@acme.example>\nSendt: 3. juni 2024 10:12\nTil: Ann Smith\nEmne: One",
        "Von: Acme <hello@acme.example>\nGesendet: Montag, 3. Juni 2024 10:12\nAn: Ann Smith\nBetreff: One",
        "Od: Acme <hello@acme.example>\nWysłano: 3 czerwca 2024 10:12\nDo: Ann Smith\nTemat: One",
        "差出人: Acme <hello@acme.example>\n送信日時: 2024年6月3日 10:12\n宛先: Ann Smith\n件名: One",
        "Kimden: Acme <hello@acme.example>\nGönderildi: 3 Haziran 2024 Pazartesi 10:12\nKime: Ann\nKonu: One",
        "*De :* Acme <hello@acme.example>\n*Envoyé :* lundi 3 juin 2024 10:12\n*À :* Ann Smith\n*Objet :* One",
    ],
)
def test_the_headers_of_earlier_mail_end_the_new_text(block: str) -> None:
    assert read(f"Yes, that suits me.\n\n{block}\n\nHello Ann, does ten suit you?\n").text == "Yes, that suits me."


def test_a_form_that_looks_like_headers_stays() -> None:
    body = "Name: Bob Jones\nEmail: bob@people.example\nDate: 3 June 2024 10:00\nMessage: Please call me.\n"
    assert read(body).text == body.strip()


def test_an_own_line_with_a_colon_before_a_quotation_stays() -> None:
    body = "On 1 Feb 2024 at 10:11, Acme <hello@acme.example> wrote:\n> First.\nI like this:\n> Second.\nNot that.\n"
    assert read(body).text == "I like this:\nNot that."


# ---- Forwarded by a rule (12), own mail (14) ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("Auto-Submitted: auto-forwarded", MailKind.PERSON),
        ("Auto-Submitted: auto-forwarded (rule)", MailKind.PERSON),
        ("X-Auto-Response-Suppress: DR, OOF, AutoReply", MailKind.PERSON),
        ("Auto-Submitted: no", MailKind.PERSON),
        ("X-MS-Exchange-Inbox-Rules-Loop: support@acme.example", MailKind.PERSON),
        ("Auto-Submitted: auto-replied", MailKind.AUTO_REPLY),
        ("Auto-Submitted: auto-replied (vacation)", MailKind.AUTO_REPLY),
        ("Auto-Submitted: auto-generated", MailKind.NOTIFICATION),
        ("Subject: Automatic reply: One", MailKind.PERSON),
    ],
)
def test_only_the_answer_of_a_program_is_automatic(header: str, kind: MailKind) -> None:
    assert read("Yes please.\n", header).kind is kind


@pytest.mark.parametrize(
    ("header", "kind"),
    [("X-Other: x", MailKind.NOTIFICATION), ("In-Reply-To: <ours@acme.example>", MailKind.PERSON)],
)
def test_an_answer_may_come_from_an_address_that_is_a_token(header: str, kind: MailKind) -> None:
    """Newsletters write from such addresses, and market places relay people's answers from them."""
    raw = mail("Yes.\n", header).replace(b"ann@people.example", b"relay-0123456789abcdef@market.example")
    assert parse(raw, CLEANER).kind is kind


@pytest.mark.parametrize(
    "subject",
    [
        "Automatic reply: One",
        "Abwesenheitsnotiz",
        "Réponse automatique : One",
        "自动回复: One",
        "Out of office",
        "Away from my mail",
    ],
)
def test_subjects_of_responders_are_known_in_many_languages(subject: str) -> None:
    raw = mail().decode().replace("Subject: One", f"Subject: {subject}").encode()
    assert parse(raw, CLEANER).kind is MailKind.AUTO_REPLY


@pytest.mark.parametrize(
    ("sender", "extra", "contact"),
    [
        ("Acme <hello@acme.example>", "X-Gmail-Labels: Sent", None),
        ("Acme <hello@acme.example>", "X-Other: x", None),
        ("Acme <hello+news@acme.example>", "X-Other: x", None),
        ("Acme <HELLO@acme.example>", "X-Other: x", None),
        ("Me <me@private.example>", "X-Gmail-Labels: Gesendet,Wichtig", None),
        ("Acme <hello@acme.example>", "Reply-To: Vera <vera@visitor.example>", "vera@visitor.example"),
        ("Acme <hello@acme.example>", "Reply-To: hello+r-aa@acme.example", None),
        ("Ann <ann@people.example>", "X-Other: x", "ann@people.example"),
    ],
)
def test_the_tenant_is_no_contact_of_its_own(sender: str, extra: str, contact: str | None) -> None:
    parsed = parse(f"From: {sender}\nTo: ann@people.example\nMessage-ID: <a@b>\n{extra}\n\nHello.\n".encode(), CLEANER)
    found = find_contact(parsed, OwnAddresses.of(["Hello@acme.example"]))
    assert (found.email if found else None) == contact


# ---- Addresses (16) -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "clean", "normal"),
    [
        ("info@straße.example", "info@xn--strae-oqa.example", "info@xn--strae-oqa.example"),
        ("Info@Straße.Example", "Info@xn--strae-oqa.example", "info@xn--strae-oqa.example"),
        ("a@βόλος.example", "a@xn--nxasmm1c.example", "a@xn--nxasmm1c.example"),
        ("Ann.Smith@People.example", "Ann.Smith@people.example", "ann.smith@people.example"),
        ("a@bücher。example", "a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
    ],
)
def test_domains_are_encoded_as_registries_encode_them(written: str, clean: str, normal: str) -> None:
    assert (clean_address(written), normalise_address(written)) == (clean, normal)
    assert (clean_address(clean), normalise_address(normal)) == (clean, normal)


@pytest.mark.parametrize("address", ["a@-straße.example", "a@\u200d.example", "a@", "@b.example", "a b@c.example"])
def test_domains_that_no_registry_accepts_are_refused(address: str) -> None:
    with pytest.raises(InvalidInput):
        clean_address(address)


# ---- Greetings (17) -------------------------------------------------------------------------------------------------


GREETINGS: dict[str | None, list[str | None]] = {
    "John": ["Doe, John", "JOHN SMITH", "Smith, Dr. John A.", "Smith, John (Sales)"],
    "Bob": ["'Bob'", '"Bob Jones"', "Bob via List"],
    "Ann": ["Dr. Ann Smith", "Ann Smith, PhD", "Ann Smith | Acme"],
    "Anna": ["anna client", "ANNA"],
    "Jürgen": ["Müller, Jürgen"],
    "Maria-Luise": ["Maria-Luise von der Hohen", "MARIA-LUISE HOHEN"],
    "Pat": ["O'Brien, Pat"],
    "Hans": ["Prof. Dr. Hans Meier"],
    None: [
        "(no name)", "ann@people.example", "Herr Müller", "Mr. Smith", "J. Smith", "山田 太郎", "Acme Support", "Info",
        "X", "", None, "john.doe", "Agent 007",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "greeting"), [(name, greeting) for greeting, names in GREETINGS.items() for name in names]
)
def test_people_are_greeted_by_their_given_name_or_not_at_all(name: str | None, greeting: str | None) -> None:
    found = first_name(name)
    assert (None if isinstance(found, UnknownName) else found) == greeting
    assert without_unknown_names(f"Hello {found},") == (f"Hello {greeting}," if greeting else "Hello,")


def test_an_unknown_name_is_false_in_a_condition() -> None:
    assert not first_name("(no name)")


# ---- What is quoted -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "limit", "passage"),
    [
        ("Hi all,\n\n\n\nThe disk is full. What now?", 100, "The disk is full. What now?"),
        ("The disk is full. What can I do about it now?", 25, "The disk is full."),
        ("Averylongwordwithoutanyend and more", 20, "Averylongwordwithou…"),
        ("one two three four five", 12, "one two…"),
        ("", 10, ""),
    ],
)
def test_a_passage_is_cut_after_a_sentence_and_has_no_greeting(text: str, limit: int, passage: str) -> None:
    assert choose_passage(text, limit) == passage
    assert len(choose_passage(text, limit)) <= limit


def test_dates_are_read_in_utc() -> None:
    assert read("x\n", "Date: Mon, 05 May 2025 12:00:00 +0200").sent_at == datetime(2025, 5, 5, 10, tzinfo=UTC)
