"""A short text that changes when what a function or an object does may have changed. No torch.

Scores of one function must not be taken for those of another that has its name. The text covers the code, also that of
nested functions, defaults, what a closure, a partial or an object holds, and what the code uses of its own module. It
does not follow imports into other modules.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from xai_bench.keys import digest

PLAIN = (type(None), type(...), bool, int, float, complex, str, bytes)


def behaviour(thing: object, *more: object) -> str:
    """Twelve hexadecimal digits, the same in every process; the first thing says which module is followed."""
    held = thing.func if isinstance(thing, partial) else thing
    home = getattr(held, "__module__", None) or type(held).__module__
    return digest(*_parts([thing, *more], home, {}))


def _parts(thing: Any, home: str, seen: dict[int, object]) -> Iterator[str]:
    if isinstance(thing, PLAIN):
        yield f"{type(thing).__name__} {thing!r}"
        return
    if id(thing) in seen:
        yield "again"
        return
    seen[id(thing)] = thing  # held, so that no other thing takes its number
    yield type(thing).__qualname__
    for part in _held(thing, home):
        yield from _parts(part, home, seen)


def _held(thing: Any, home: str) -> Sequence[Any]:  # noqa: C901, PLR0911 - a line for each kind
    """What a thing is made of, in an order that does not depend on the process."""
    match thing:
        case CodeType():
            return [thing.co_code, thing.co_consts, thing.co_names, thing.co_freevars]
        case FunctionType():
            return [thing.__code__, thing.__defaults__, thing.__kwdefaults__, _closed(thing), _used(thing, home)]
        case MethodType():
            return [thing.__func__, thing.__self__]
        case partial():
            return [thing.func, thing.args, thing.keywords]
        case ModuleType():
            return [thing.__name__]
        case type():
            return [thing.__module__, thing.__qualname__, _own(thing) if thing.__module__ == home else None]
        case Mapping():
            return sorted(([digest(*_parts(key, home, {})), value] for key, value in thing.items()), key=_first)
        case Set():
            return sorted(digest(*_parts(item, home, {})) for item in thing)
        case list() | tuple():
            return thing
    if isinstance(found := getattr(thing, "fingerprint", None), str):
        return [found]
    if hasattr(thing, "detach"):  # a tensor of torch
        thing = thing.detach().cpu().numpy()
    if hasattr(thing, "tobytes"):
        return [str(thing.dtype), tuple(thing.shape), thing.tobytes()]
    name = getattr(thing, "__qualname__", None)  # of a function that is not Python
    return [type(thing), name, getattr(thing, "__module__", None) if name else None, getattr(thing, "__dict__", None)]


def _first(pair: list[Any]) -> str:
    return str(pair[0])


def _closed(function: FunctionType) -> list[Any]:
    """What a closure holds; a cell is empty while what it holds is being defined."""
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:
            found.append(None)
    return found


def _used(function: FunctionType, home: str) -> dict[str, Any]:
    """What the code uses of its own module: numbers, functions, classes."""
    if function.__module__ != home:
        return {}
    names = set(_names(function.__code__))
    return {name: value for name, value in function.__globals__.items() if name in names}


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def _own(kind: type) -> dict[str, Any]:
    """What a class of the caller's defines itself."""
    return {name: value for name, value in vars(kind).items() if isinstance(value, (FunctionType, *PLAIN))}
