"""Subjects that responders write, in the languages of Outlook, Gmail and the common servers."""

import re

# Outlook and Exchange put these words and a colon before the subject; others write them alone.
_MARKS = (
    "automatic reply", "auto reply", "auto-reply", "autoreply", "auto response", "auto-response", "autoresponse",
    "out of office autoreply", "out of office reply", "out-of-office reply", "out of office", "out of the office",
    "out-of-office", "vacation reply", "vacation response", "automatic response", "auto responder",
    "automated reply", "automated response", "away from my mail", "automatische antwort", "abwesenheitsnotiz",
    "abwesenheitsbenachrichtigung", "abwesenheitsmeldung", "abwesend", "réponse automatique", "message d'absence",
    "absence du bureau", "notification d'absence", "respuesta automática", "fuera de la oficina",
    "fuera de oficina", "risposta automatica", "fuori sede", "fuori ufficio", "automatisch antwoord",
    "automatische reactie", "afwezigheidsbericht", "niet aanwezig", "afwezig", "resposta automática",
    "fora do escritório", "resposta automàtica", "ausente del trabajo", "ausência do escritório",
    "automatiskt svar", "automatiskt meddelande", "frånvaromeddelande", "frånvarande", "autosvar",
    "automatisk svar", "automatisk svarmelding", "fraværsmelding", "fravær", "fraværende", "fraværsbesked",
    "ikke til stede", "automaattinen vastaus", "poissa", "poissaolo", "sjálfvirkt svar", "automatyczna odpowiedź", "odpowiedź automatyczna",
    "poza biurem", "nieobecność", "automatická odpověď", "mimo kancelář", "nepřítomnost", "automatická odpoveď",
    "mimo kancelárie", "neprítomnosť", "automatikus válasz", "házon kívül", "távollét", "răspuns automat",
    "absent de la birou", "samodejni odgovor", "odsoten", "automatski odgovor", "izvan ureda",
    "automatinis atsakymas", "automātiska atbilde", "automaatvastus", "otomatik yanıt", "otomatik cevap",
    "ofis dışında", "αυτόματη απάντηση", "εκτός γραφείου", "автоматический ответ", "автоответ",
    "нет на рабочем месте", "автоматична відповідь", "автоматичен отговор", "аутоматски одговор", "отсъствие",
    "תשובה אוטומטית", "מענה אוטומטי", "הודעת היעדרות", "رد تلقائي", "الرد التلقائي", "خارج المكتب", "پاسخ خودکار",
    "自动回复", "自动答复", "外出", "自動回覆", "自動回信", "自動応答", "自動返信", "不在通知", "자동 회신", "자동 응답", "부재 중", "부재중",
    "ตอบกลับอัตโนมัติ", "trả lời tự động", "thư trả lời tự động", "balasan otomatis", "स्वचालित उत्तर",
    "erantzun automatikoa", "rezponda automatica", "autosvar fra",
)  # fmt: skip
_MARKED = re.compile(
    r"\s*(?:\[[^\]]{1,40}\]\s*)?[(\[*<]?(?:"
    + "|".join(re.escape(mark).replace(r"\ ", r"[\s-]") for mark in sorted(_MARKS, key=len, reverse=True))
    + r")[)\]*>]?\s?(?:[:：﹕(\[*>–-]|[!.]*\s*$|\s(?:re|aw|antw?|sv|vs|odp|ynt|回复|fw|fwd)\s?[:：])",
    re.IGNORECASE,
)
# "Auto: Re: Offer": short words count only before a colon and another subject.
_SHORT_MARK = re.compile(r"\s*(?:auto|ooo|oof|a\.?r\.?|abs)\s?[:：]\s?\S", re.IGNORECASE)
_LIKELY = re.compile(
    r"\b(?:out of (?:the )?office|away (?:from|until|till|on)|on (?:vacation|holidays?|leave|annual leave|parental leave)|"
    r"(?:vacation|holiday|absence|leave) (?:notice|message|reply)|i am (?:away|out)|currently (?:away|out)|"
    r"im urlaub|in urlaub|nicht (?:im haus|im b(?:ü|ue)ro|am platz)|außer haus|abwesenheit|"
    r"en vacances|en congés?|absente?s? (?:du|jusqu)|de vacaciones|ausente|in ferie|assente|assenza|met vakantie|op vakantie|"
    r"på (?:semester|ferie)|lomalla|na urlopie|urlop|na dovolené|dovolen(?:á|ka)|szabadságon|tatilde(?:yim)?|izinde(?:yim)?|"
    r"в отпуске|у відпустці|в отпуск|de férias|休暇|休假|휴가)\b|"
    r"(?:ticket|case|request|enquiry|inquiry|vorgang|anfrage|anliegen|demande|solicitud|richiesta|zgłoszenie|ärende)\b"
    r".{0,60}\b(?:received|created|opened|registered|logged|eingegangen|erhalten|erstellt|reçue?|enregistrée?|"
    r"recibida|ricevuta|ontvangen|przyjęte|mottaget)\b|"
    r"\b(?:we have received|thank you for contacting|thanks for contacting|we received your|wir haben ihre|"
    r"nous avons bien reçu|hemos recibido|abbiamo ricevuto)\b",
    re.IGNORECASE,
)


def is_marked(subject: str, *, is_answer: bool) -> bool:
    """Return whether the subject begins like a responder's: `Automatic reply: …`, `Abwesenheitsnotiz`.

    `Auto: …` is one only in an answer: in some languages a person may write about a car.
    """
    return bool(subject and (_MARKED.match(subject) or (is_answer and _SHORT_MARK.match(subject))))


def is_likely(subject: str) -> bool:
    """Return whether a person could have written the subject, but responders often do: `On vacation`."""
    return bool(subject and _LIKELY.search(subject))
