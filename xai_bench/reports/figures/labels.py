"""Names that fit: broken into lines first, and cut where they do not differ."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile

from xai_bench.reports.style import short

_PARTS = re.compile(r".+?(?:[ ,;]|(?=\()|$)")  # of a name with parameters
_SIGNS = re.compile(r".+?(?:[_/:=-]|(?=[.(]\D)|$)")  # within one that fills more than a line; never within a number


def labels(names: Iterable[str], most: int, lines: int = 1) -> dict[str, str]:
    """Name -> at most `lines` lines of `most` letters; two names that are cut stay two wherever their difference fits.

    A name is whole where it fits. Of others the middle goes, as `short` cuts it, or, where that would be the same for
    several, what these share.
    """
    room, wanted = (
        most * lines - (lines - 1) * (most // 3),
        tuple(dict.fromkeys(names)),
    )  # lines do not fill up to their ends
    said = {name: name if _fits(name, most, lines) else short(name, room) for name in wanted}
    for word in {said[name] for name in wanted}:
        if len(same := [name for name in wanted if said[name] == word]) > 1:
            said |= dict(zip(same, _apart(same, room), strict=True))
    return {name: "\n".join(_stack(word, most, lines)) for name, word in said.items()}


def wrapped(name: str, most: int) -> list[str]:
    """A name in lines of at most `most` letters: broken at its parameters, within these at signs, else `short`."""
    found = [""]
    for piece in _pieces(name, most):
        if found[-1] and len(found[-1]) + len(piece.rstrip()) > most:
            found.append("")
        found[-1] += piece
    return [short(line.rstrip(), most) for line in found]


def at_spaces(text: str, most: int) -> list[str]:
    """Text in lines of about `most` letters, words and numbers whole; a word longer than a line is `wrapped`."""
    found: list[str] = []
    for word in text.split():
        if found and len(found[-1]) + len(word) < most:
            found[-1] += f" {word}"
        else:
            found.extend([word] if len(word) <= most else wrapped(word, most))
    return found


def _fits(name: str, most: int, lines: int) -> bool:
    stack = wrapped(name, most)
    return len(stack) <= lines and "".join(stack).replace(" ", "") == name.replace(" ", "")


def _stack(word: str, most: int, lines: int) -> list[str]:
    if _fits(word, most, lines):
        return wrapped(word, most)
    return [word[start : start + most] for start in range(0, len(word), most)]  # its signs stand where none may break


def _pieces(name: str, most: int) -> Iterator[str]:
    for part in _PARTS.findall(name):
        yield from [part] if len(part.rstrip()) <= most else _SIGNS.findall(part)


def _apart(names: Sequence[str], room: int) -> list[str]:
    """Names with what all of them begin and end with cut, most of it before the place where they differ."""
    front = _start(names)
    back = _start([name[len(front) :][::-1] for name in names])[::-1]
    middles = [name[len(front) : len(name) - len(back)] for name in names]
    left = max(room - max(map(len, middles)), room // 2)
    ahead = min(len(front), max(left * 2 // 3, left - len(back)))
    behind = min(len(back), left - ahead)
    return [f"{short(front, ahead)}{short(middle, room - left)}{_end(back, behind)}" for middle in middles]


def _end(text: str, most: int) -> str:
    return short(text, most) if most else ""


def _start(names: Sequence[str]) -> str:
    """What all of them begin with."""
    return "".join(signs[0] for signs in takewhile(lambda signs: len(set(signs)) == 1, zip(*names, strict=False)))
