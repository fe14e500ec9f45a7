"""Full-text search that treats Chinese and symbols like words.

A text becomes a list of tokens: a run of letters is one token, a number is one; a run of Chinese characters becomes its
overlapping pairs and its last character, so that any part of it is a sequence of tokens; a symbol is one token,
mapped to a private-use letter because full-text engines drop punctuation. Queries are cut by the same rules.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003fffd"
_PARTS = re.compile(rf"(?P<cjk>[{_CJK}]+)|(?P<word>[^\W\d_{_CJK}]+|\d+)|(?P<symbol>\S)")
_CJK_PAIR = re.compile(f"[{_CJK}]{{2}}")
_PRIVATE_USE = 0xF0000
GAP = chr(_PRIVATE_USE)  # stands between two fields, so that no phrase reaches across

CODE_PARTS = 3
CODE_DIGITS = 5
MAX_TERMS = 8
MAX_WORD = 64  # characters of a word that count


def normalize(text: str) -> str:
    """Lower case, compatibility forms unified (full width), accents removed."""
    plain = "".join(map(_without_accents, text))
    return unicodedata.normalize("NFC", plain.casefold())  # last: ™ is “TM” only when it is decomposed


@lru_cache(4096)
def _without_accents(character: str) -> str:
    """One at a time: many in a row would be sorted, in a time that grows with their square, only to be removed."""
    decomposed = unicodedata.normalize("NFKD", character)
    return "".join(part for part in decomposed if not unicodedata.combining(part))


def tokenize(text: str) -> list[str]:
    """The tokens of one text, in order."""
    tokens: list[str] = []
    for match in _PARTS.finditer(normalize(text)):
        part = match.group()
        if match.lastgroup == "cjk":
            tokens += [part[i : i + 2] for i in range(len(part))]
        elif match.lastgroup == "word":
            tokens.append(part[:MAX_WORD])
        else:
            tokens.append(chr(_PRIVATE_USE + ord(part) % 0xFFFE))
    return tokens


def tokenize_fields(fields: Iterable[str]) -> list[str]:
    """The tokens of several fields with a gap between each."""
    tokens: list[str] = []
    for field in fields:
        tokens += [*tokenize(field), GAP]
    return tokens[:-1]


def query_terms(query: str) -> list[list[str]]:
    """The terms of a query, all of which must be found; each is a sequence of tokens."""
    return [tokens for word in query.split()[:MAX_TERMS] if (tokens := _query_tokens(word))]


def _query_tokens(word: str) -> list[str]:
    tokens = tokenize(word)
    # Of “龙井” the text “龙井茶” has the pair, but not the last character as a token of its own.
    if len(tokens) > 1 and _CJK_PAIR.fullmatch(tokens[-2]) and tokens[-2][1] == tokens[-1]:
        tokens.pop()
    return tokens


def fts5_query(query: str) -> str:
    """The query for SQLite's FTS5; it finds nothing when nothing can be searched for."""
    terms = [f'"{" ".join(tokens)}"{" *" * is_open(tokens[-1])}' for tokens in query_terms(query)]
    return " AND ".join(terms) or '""'


def tsquery(query: str) -> str:
    """The query for PostgreSQL, to be cast to tsquery; it finds nothing when nothing can be searched for."""
    terms = [(" <-> ".join(f"'{token}'" for token in tokens), is_open(tokens[-1])) for tokens in query_terms(query)]
    return " & ".join(f"({phrase}{':*' * goes_on})" for phrase, goes_on in terms)


def is_open(token: str) -> bool:
    """Whether more may follow: a word may be typed half, and all pairs of a Chinese character begin with it.

    Numbers and pairs are looked up as they are, which costs a tenth of looking for all that begins with them.
    """
    return token.isalpha() and not _CJK_PAIR.fullmatch(token)


def is_code(query: str) -> bool:
    """Whether a query looks like an article number (`TEA-LJ-250`, `0500000`): it finds one and not thousands."""
    return any(
        any(token.isdigit() for token in tokens) and (len(tokens) >= CODE_PARTS or len(tokens[0]) >= CODE_DIGITS)
        for tokens in query_terms(query)
    )


def tsvector(tokens: list[str]) -> str:
    """The tokens with their positions, to be cast to tsvector (which keeps 16,383 positions)."""
    return " ".join(f"'{token}':{min(position, 16383)}" for position, token in enumerate(tokens, 1))
