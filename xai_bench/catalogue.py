"""Names to objects: `deletion@rise`, a TOML table or keywords fill the fields of the same frozen dataclass."""

import dataclasses
import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType, UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from beartype.door import is_bearable

from xai_bench.errors import InvalidValueError, UnknownNameError, XaiBenchError

Entry = TypeVar("Entry")


class Catalogue(Mapping[str, type[Entry]], Generic[Entry]):
    """A read-only mapping from names to classes, built from an explicit tuple and the installed plug-ins.

    Entries are frozen dataclasses with a `card`; `protocols`, where there, names frozen sets of their fields. A field
    may hold an entry of this catalogue or of a nested one, and is then filled by whatever `build` takes. `schemes` make
    entries of what follows a name and a colon: `maps:FOLDER`.
    A plug-in that cannot be used is left out with a warning that names it, and so is one whose name is taken.
    """

    def __init__(
        self,
        kind: str,
        base: type[Entry],
        entries: tuple[type[Entry], ...],
        nested: tuple["Catalogue[Any]", ...] = (),
        schemes: Mapping[str, Callable[[str], Entry]] = MappingProxyType({}),
        aliases: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._aliases = aliases  # what else an entry is called, by people and libraries; for hints alone
        self.kind, self.base, self._entries, self._nested, self._schemes = kind, base, entries, nested, schemes
        self._unusable: dict[str, str] = {}  # entry point -> why

    @cached_property
    def _by_name(self) -> dict[str, type[Entry]]:
        found = {entry.card.name: entry for entry in self._entries}  # type: ignore[attr-defined]
        for point in entry_points(group=f"xai_bench.{self.kind}s"):
            try:
                name, entry = self._plugged(point, found)
                found[name] = entry
            except Exception as error:  # noqa: BLE001 - whatever somebody else's import raises; the rest stands
                self._unusable[point.name] = f"{_of_package(point)} cannot be used: {_told(error)}"
                warnings.warn(f"{self.kind} {point.name!r}{self._unusable[point.name]}", stacklevel=2)
        return found

    def _plugged(self, point: EntryPoint, found: Mapping[str, type[Entry]]) -> tuple[str, type[Any]]:
        """The class of an entry point and its name. Raises whatever is wrong with it."""
        entry: Any = point.load()
        if not (isinstance(entry, type) and issubclass(entry, self.base) and hasattr(entry, "card")):
            raise InvalidValueError(f"{point.value} is no {self.base.__name__} class with a card")
        name = entry.card.name  # type: ignore[attr-defined]
        if not dataclasses.is_dataclass(entry):
            raise InvalidValueError(f"{point.value} is no dataclass")
        if name in found:
            raise InvalidValueError(f"the name {name!r} is taken")
        entry()  # its defaults need none, or no list could show it
        return name, entry

    def __getitem__(self, name: str) -> type[Entry]:
        try:
            return self._by_name[name]
        except KeyError:
            if name in self._unusable:
                raise UnknownNameError(f"unknown {self.kind} {name!r}{self._unusable[name]}") from None
            meant = self._aliases.get(name.lower().replace("-", "_").replace(" ", "_"))
            raise UnknownNameError.of(self.kind, name, self._by_name, meant=meant) from None

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def build(self, wanted: object) -> Entry:
        """The entry that a name, a `name@protocol`, a table with a `name`, or an instance stands for."""
        match wanted:
            case str():
                scheme, _, rest = wanted.partition(":")
                return self._schemes[scheme](rest) if scheme in self._schemes else self._from_table({"name": wanted})
            case Mapping():
                return self._from_table(wanted)
            case self.base():
                return wanted
        raise InvalidValueError(
            f"{self.kind} must be a name, a table with a name, or a {self.base.__name__}, got {wanted!r}"
        )

    def _from_table(self, table: Mapping[str, Any]) -> Entry:
        if not isinstance(table.get("name"), str):
            raise InvalidValueError(f"{self.kind} needs a name, got {dict(table)!r}")
        name, at, protocol = table["name"].partition("@")
        entry = self._imported(name) if name.startswith("python:") else self[name]
        protocols: Mapping[str, Mapping[str, Any]] = getattr(entry, "protocols", {})
        if at and protocol not in protocols:
            raise UnknownNameError.of(f"protocol of {name}", protocol, protocols)
        given = {key: value for key, value in table.items() if key != "name"}
        values = dict(protocols[protocol]) if at else {}
        return entry(**values | {key: self._value(entry, key, value) for key, value in given.items()})

    def _imported(self, name: str) -> type[Entry]:
        """The class behind `python:package.module:Class`."""
        found = imported(name.removeprefix("python:"))
        if isinstance(found, type) and issubclass(found, self.base):
            return found
        raise InvalidValueError(f"{name} in a table must be a {self.base.__name__} class, it is {found!r}")

    def _value(self, entry: type[Entry], key: str, value: Any) -> Any:
        hints = fields(entry)
        if key not in hints:
            raise UnknownNameError.of(f"key of {self.kind} {entry.card.name}", key, hints)  # type: ignore[attr-defined]
        for catalogue in (self, *self._nested):
            if hints[key] is catalogue.base:
                return catalogue.build(value)
        for candidate in _conversions(value):
            if is_bearable(candidate, hints[key]):
                return candidate
        _check_value(value, hints[key], f"{key} of {self.kind} {entry.card.name}")  # type: ignore[attr-defined]
        return value


def _of_package(point: EntryPoint) -> str:
    """` of the plug-in 'package 1.0'`, as far as it is known."""
    return f" of the plug-in '{point.dist.name} {point.dist.version}'" if point.dist else f" of {point.value!r}"


def _told(error: Exception) -> str:
    return f"{error}" if isinstance(error, XaiBenchError) else f"{type(error).__name__}: {error}"


def _conversions(value: Any) -> Iterator[Any]:
    """TOML has arrays where Python has tuples, and people write 1 for 1.0."""
    if isinstance(value, list):
        # all of one type, since beartype looks at one item of a tuple, chosen at random
        yield tuple(float(item) if isinstance(item, int) else item for item in value)
        yield tuple(value)
    if isinstance(value, int) and not isinstance(value, bool):
        yield float(value)
    if isinstance(value, str):  # one name where several may stand
        yield value
        yield (value,)


def fields(entry: type) -> dict[str, Any]:
    """The parameters of a catalogue entry with their types."""
    hints = get_type_hints(entry)
    return {item.name: hints[item.name] for item in dataclasses.fields(entry) if item.init}


def describe(entry: object) -> str:
    """`blur(sigma=0.1,kernel=gaussian)`: every parameter, defaults too, so that equal text means equal numbers."""
    if not dataclasses.is_dataclass(entry) or isinstance(entry, type) or not hasattr(entry, "card"):
        return getattr(entry, "__name__", type(entry).__name__)
    # a field that its repr leaves out says where something lies, not what it is
    shown = [item for item in dataclasses.fields(entry) if item.repr]
    inside = ",".join(f"{item.name}={text(getattr(entry, item.name))}" for item in shown)
    return f"{entry.card.name}({inside})" if inside else entry.card.name


def label(entry: object) -> str:
    """The shortest name of an entry: `deletion`, `deletion@rise`, `deletion(output=logit)`, or `smooth(gradcam)`."""
    if not dataclasses.is_dataclass(entry) or isinstance(entry, type) or not hasattr(entry, "card"):
        return describe(entry)
    kind, name = type(entry), entry.card.name
    if _speaks(entry):  # a function, whose name is enough
        return str(name)
    for protocol, values in getattr(kind, "protocols", {}).items():
        if entry == kind(**values):
            return f"{name}@{protocol}"
    shown = [item for item in dataclasses.fields(entry) if item.init and item.repr and item.name != "explainer"]
    changed = [item for item in shown if getattr(entry, item.name) != getattr(kind(), item.name)]
    around = [label(entry.explainer)] if hasattr(entry, "explainer") else []  # what is wrapped is never left unsaid
    inside = ",".join([*around, *(f"{item.name}={_short(getattr(entry, item.name))}" for item in changed)])
    return f"{name}({inside})" if inside else name


def _short(value: object) -> str:
    return label(value) if dataclasses.is_dataclass(value) and not _speaks(value) else text(value)


def text(value: object) -> str:
    """A parameter's value as it stands in a spec."""
    if dataclasses.is_dataclass(value) and not _speaks(value):
        return describe(value)
    if isinstance(value, tuple | list):
        return "/".join(map(text, value))
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _speaks(value: object) -> bool:
    """Whether a class has words of its own for what it is."""
    return type(value).__str__ is not object.__str__


def check_values(entry: object) -> None:
    """Refuse a frozen dataclass with a value that its field's type does not allow."""
    for key, hint in fields(type(entry)).items():
        _check_value(getattr(entry, key), hint, f"{key} of {entry.card.name}")  # type: ignore[attr-defined]


def _check_value(value: object, hint: Any, what: str) -> None:
    options = get_args(hint) if get_origin(hint) is Literal else ()
    if options and isinstance(value, str) and value not in options:
        raise UnknownNameError.of(what, value, options)
    truth = isinstance(value, bool) and hint is not bool  # True is an int to Python, but not to a person
    if truth or not is_bearable(value, hint):
        raise InvalidValueError(f"{what} must be {_words(hint)}, got {value!r}")


def _words(hint: Any) -> str:
    """`int or 'adaptive'`: a type as people write it."""
    if hint is type(None):
        return "None"
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(map(_words, get_args(hint)))
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    if get_origin(hint) is tuple:
        return "a list of " + _words(get_args(hint)[0])
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint).replace("typing.", "")


def imported(path: str) -> Any:
    """The object behind `package.module:attribute`. Whatever the module raises is told in one sentence."""
    name, _, attribute = path.partition(":")
    if not name or name.startswith(".") or not attribute:
        raise InvalidValueError(f"an import path is package.module:name, got {path!r}")
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise UnknownNameError(f"cannot import {name!r} of {path!r}: {error}") from error
    except (Exception, SystemExit) as error:  # what somebody else's module does when it is imported
        raise InvalidValueError(f"cannot import {name!r} of {path!r}: {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        known = [word for word in vars(module) if not word.startswith("_")]
        raise UnknownNameError.of(f"name in {name}", attribute, known)
    return getattr(module, attribute)
