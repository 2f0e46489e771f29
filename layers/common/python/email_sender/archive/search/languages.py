"""Tell English from other languages by its function words: enough to choose how a question is embedded."""

import re

_WORD = re.compile(r"[^\W\d_]+")
_ENGLISH = (
    "a an and any are as asks at be been by can cannot did do does for from had has have he her his how i if in "
    "into is it its me my needs no not of on or our she so someone somebody than that the their them there they "
    "this to under want wants was we were what when where which who whom whose why will with without would you "
    "your"
)
_OTHERS = {
    "German": (
        "aber alle als am an auf aus bei beim bin bis das dass dem den der des dessen deren die dies ein eine "
        "einem einen einer eines er es für hat haben ich ihn ihr ihre im in ist jemand kann kein keine keinen "
        "man mein mit nach nicht noch nur oder ob seine seinen sich sie sind suche sucht über um und unter vom "
        "von vor war was wem wen wenn wer werden wie wir wird wo wurde zu zum zur"
    ),
    "French": (
        "a au aux avec avoir ce ces cette chez d dans de depuis des dont du elle elles en est et il ils je l la "
        "le les leur leurs lui ma mais mes mon n ne nous on ou où par pas plus pour qu quand que quelqu quelle "
        "qui s sa sans se ses son sont sur un une vous y"
    ),
    "Spanish": (
        "a al alguien aunque como con cuando cuyo de del desde donde el ella ellos en es esta este han hay la "
        "las le lo los mi muy más ni no o para pero por porque que quien quién quienes se ser si sin sobre su "
        "sus también tiene un una y ya"
    ),
    "Italian": (
        "a ai al alla anche che chi con cui da dal dalla degli dei del della delle di e gli ha hanno i il in io "
        "la le lo ma mi nel nella non o per più qualcuno quando se si sono su sua suo sul tra un una uno è"
    ),
    "Portuguese": (
        "a ao aos as alguém com como da das de do dos e ela ele em está eu foi há mais mas na nas no nos não o "
        "os ou para pela pelo por quando quem que se sem seu sua são também tem um uma é"
    ),
    "Dutch": (
        "aan als bij dat de die dit door een en er geen haar heeft het hij hoe iemand ik in is kan maar met "
        "mijn naar niet nog of om onder ook op over te tot uit van voor waar wat we wie wil worden zich zijn "
        "zoekt"
    ),
}
_ENGLISH_WORDS = frozenset(_ENGLISH.split())
_OTHER_WORDS = [frozenset(words.split()) for words in _OTHERS.values()]


def is_english(text: str) -> bool:
    """Return whether a text is English. A text without function words, such as a product's name, counts as English."""
    words = [word.casefold() for word in _WORD.findall(text)]
    if not words:
        return True
    foreign_letters = sum(not word.isascii() for word in words)
    english = sum(word in _ENGLISH_WORDS for word in words)
    other = max(sum(word in language for word in words) for language in _OTHER_WORDS)
    if english == other == 0:
        return foreign_letters * 2 < len(words)
    return english >= other
