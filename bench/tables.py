"""Tables of texts for a terminal and for Markdown."""

from collections.abc import Sequence

Line = tuple[str, ...]


def as_text(headings: Line, lines: Sequence[Line], left: int, group: int) -> str:
    """Columns side by side, the first ones to the left; an empty line where the first `group` columns change."""
    whole = [headings, *lines]
    widths = [max(len(line[column]) for line in whole) for column in range(len(headings))]
    texts = []
    for above, line in zip([headings, *whole], whole, strict=False):
        padded = [
            text.ljust(width) if column < left else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        texts += [""] * (above[:group] != line[:group]) + ["  ".join(padded).rstrip()]
    return "\n".join(texts)


def as_markdown(headings: Line, lines: Sequence[Line], left: int) -> str:
    """The same as a Markdown table."""
    rule = ("---",) * left + ("--:",) * (len(headings) - left)
    return "\n".join("| " + " | ".join(line) + " |" for line in [headings, rule, *lines])
