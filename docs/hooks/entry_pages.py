"""A page for each metric, explainer and removal, and a table of each kind; all from the catalogues."""

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from facts import KINDS, about, parameters, protocols, spec, written_out
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from use import python, toml, use

HERE = Path(__file__).parent
FAMILIES = {
    "faithfulness": "Faithful to the model",
    "localisation": "Located on the object",
    "removal": "Of a removal itself",
    "model": "Of the model",
    "other": "Other",
}
EXPLAINER_FAMILIES = {
    "gradient": "Gradients",
    "cam": "Class activation maps",
    "perturbation": "Perturbation",
    "attention": "Attention",
    "intrinsic": "The model's own",
    "control": "Controls",
    "wrapper": "Around other explainers",
    "given": "Yours",
    "other": "Other",
}
FAMILY_WORDS = {
    "gradient": """\
What a small change of each pixel does to the target's logit, as it is, averaged, or propagated by rules of its
own. Fine-grained, signed where colours are summed and not taken by size; noisy on deep networks. They need a model
that can be differentiated; those with rules of their own refuse layers that they do not cover.""",
    "cam": """\
Which cells of a layer's feature map speak for the target, upsampled to the image: coarse blobs. Those that take
the positive part are constant, and so undefined for metrics that rank, where nothing speaks for it. Of CNNs, and
of transformers through their grid of tokens.""",
    "perturbation": """\
How the target's output changes as parts of the image are removed. They look at outputs alone, so that every model
will do, and take any [removal](../removals/index.md); they are the dearest, and say as much of the removal as of
the model.""",
    "attention": """\
What a vision transformer's tokens attend to, through all its blocks or in the last. Models without attention are
refused. Without gradients they are the same for every class.""",
    "intrinsic": """\
What a model computes by itself as its explanation: a keep map, a selection, a sum over patches. Only such models
have them.""",
    "control": """\
Maps that know nothing of what the model learnt: the floor under every table. `region` is the ceiling of
localisation, the object itself.""",
    "wrapper": """\
What can be done to any explainer's maps, or asked of it: another sign, another resolution, the mean of noisy
copies, one class rather than another. Undefined where the map inside is.""",
    "given": """\
Maps that you have already. For code of yours see [an explainer of yours](../your-explainer.md).""",
    "other": """\
What plug-ins bring.""",
}
ARROWS = {"higher": "↑ higher is better", "lower": "↓ lower is better", "unstated": "unstated"}
TITLES = {"metrics": "Metrics", "explainers": "Explainers", "removals": "Removals"}
WORDS = {
    "metrics": """\
A metric turns maps into numbers with a direction, bounds, a version and a source, or says why there is no number.
The same list on your machine, with what plug-ins add: `xai-bench list metrics`.
None of these is what you mean? [A metric of yours](../your-metric.md) takes ten lines.""",
    "explainers": """\
An explainer turns a model, images and targets into maps: higher means more evidence for the target.
Controls know nothing of the model and are the floor under every table. F is a forward pass, B a backward one.
On your machine: `xai-bench list explainers`. Any other method: [an explainer of yours](../your-explainer.md).
Explainers of one run that read the same forward and backward pass share it, each billed as if alone.

![One image and a map of it by every explainer](gallery.png)

Every explainer on one planted image, drawn as this site was built: of a small convolutional net and, where only a
transformer will do, of a small transformer, both trained in seconds; dear explainers with fewer samples. The models
tell rings from squares, and the wall behind says nothing of the class: `region` is where all evidence lies. Where a
map has both signs, orange is for the class and blue against it; else yellow is high. Left out are those that need a
model of another kind or files: `energy`, `energy_field`, `patch_contributions`, `selection`, `native_map`, `maps`. How
good a map is, the picture does not tell; that is what [metrics](../metrics/index.md) are for.""",
    "removals": """\
A removal is how a model sees an image of which only a part remains.
Every metric that hides pixels takes any of them as `removal`. On your machine: `xai-bench list removals`.
Which of them disturbs a model least is itself measured: [removals compared](../protocols/removals.md).""",
}


def cell(value: str) -> str:
    """Text that stays in its cell of a table."""
    return str(value).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def code(text: str) -> str:
    """Each of a list's items as code."""
    return ", ".join(f"`{part}`" for part in text.split(", ")) if text else ""


def lines(spec: str) -> str:
    """A spec with a line for each part."""
    return spec.replace("; ", "\n")


TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # noqa: S701 - Markdown, not HTML, from our own catalogues
)
TEMPLATES.filters |= {"cell": cell, "code": code, "lines": lines}


def pages(prose: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(path, Markdown) of every page; `prose` holds the written pages by path, to link those that speak of an entry."""
    for kind, catalogue in KINDS.items():
        yield f"{kind}/index.md", overview(kind)
        for name, entry in catalogue.items():
            yield f"{kind}/{name}.md", entry_page(kind, entry, prose)
    for heading, chosen in _groups("explainers"):
        yield f"explainers/{family_page(chosen[0].card.family)}", family(heading, chosen, prose)


def family(heading: str, chosen: list[Any], prose: Mapping[str, str]) -> str:
    """The page of a family of explainers: what each shows, when it is undefined, what it costs."""
    return TEMPLATES.get_template("family.md.j2").render(
        title=heading,
        words=FAMILY_WORDS[chosen[0].card.family],
        columns=_columns("explainers"),
        rows=[_row("explainers", one) for one in chosen],
        about=[(one.card.name, _linked(about(one)[0], prose), one.card.source) for one in chosen],
    )


def names(kind: str) -> Iterator[tuple[str, str, list[str]]]:
    """(heading, its own page if any, names) in the order of the navigation."""
    for heading, chosen in _groups(kind):
        index = f"explainers/{family_page(chosen[0].card.family)}" if kind == "explainers" else ""
        yield heading, index, [entry.card.name for entry in chosen]


def family_page(family: str) -> str:
    """The page of a family of explainers."""
    return f"family-{family}.md"


def overview(kind: str) -> str:
    """The table of a kind, one part per family."""
    tables = [(heading, _columns(kind), [_row(kind, one) for one in chosen]) for heading, chosen in _groups(kind)]
    return TEMPLATES.get_template("overview.md.j2").render(title=TITLES[kind], words=WORDS[kind], tables=tables)


def entry_page(kind: str, entry: Any, prose: Mapping[str, str]) -> str:
    """The page of one entry."""
    suite, defaults = use(kind, entry), entry()
    file = Path(inspect.getfile(entry))
    return TEMPLATES.get_template("entry.md.j2").render(
        name=entry.card.name,
        summary=entry.card.summary[:1].upper() + entry.card.summary[1:] + ".",
        facts=[(what, value) for what, value in _facts(kind, entry) if value],
        about=[_linked(paragraphs, prose) for paragraphs in about(entry)],
        exempt=sorted(getattr(entry.card, "exempt", {}).items()),
        parameters=parameters(entry),
        protocols=protocols(entry),
        spec=spec(entry),
        python=python(suite),
        toml=toml(suite),
        written_out=written_out(kind, defaults),
        links=_links(entry.card.name, prose),
        source_file=file.as_posix()[file.as_posix().rindex("xai_bench/") :],
    )


def _groups(kind: str) -> Iterator[tuple[str, list[Any]]]:
    entries = list(KINDS[kind].values())
    if kind == "metrics":
        grouped = [(words, [one for one in entries if one.card.family == family]) for family, words in FAMILIES.items()]
    elif kind == "explainers":
        grouped = [
            (heading, [one for one in entries if one.card.family == own]) for own, heading in EXPLAINER_FAMILIES.items()
        ]
    else:
        grouped = [("", entries)]
    return ((heading, chosen) for heading, chosen in grouped if chosen)


def _columns(kind: str) -> tuple[str, ...]:
    middle = {
        "metrics": ("", "bounds", "needs", "protocols"),
        "explainers": ("passes per image", "source"),
        "removals": ("soft masks", "source"),
    }
    return ("name", "what", *middle[kind])


def _row(kind: str, entry: Any) -> tuple[str, ...]:
    card = entry.card
    middle: tuple[str, ...]
    if kind == "metrics":
        protocols = " ".join(f"`@{protocol}`" for protocol in entry.protocols)
        middle = (ARROWS[card.better].split()[0], _bounds(card), ", ".join(_needs(card)), protocols)
    else:
        middle = (card.passes if kind == "explainers" else "yes" if entry.soft else "no", card.source)
    return (f"[`{card.name}`]({card.name}.md)", card.summary, *middle)


def _facts(kind: str, entry: Any) -> list[tuple[str, str]]:
    card = entry.card
    own = {
        "metrics": lambda: [
            ("direction", ARROWS[card.better]),
            ("bounds", _bounds(card)),
            ("scope", "one number per image" if card.scope == "image" else "one number per set of images"),
            ("family", card.family),
            ("needs", ", ".join(_needs(card))),
        ],
        "explainers": lambda: [
            ("family", f"[{EXPLAINER_FAMILIES[card.family]}]({family_page(card.family)})"),
            ("kind", card.kind),
            ("passes per image", card.passes),
            ("needs", ", ".join(_needs(card))),
        ],
        "removals": lambda: [("masks", "0 to 1" if entry.soft else "only 0 and 1; a soft mask is refused")],
    }[kind]()
    return [*own, ("version", str(card.version)), ("source", card.source)]


def _bounds(card: Any) -> str:
    """As the card says; the infinite ends open."""
    left, right = "(" if card.low == -float("inf") else "[", ")" if card.high == float("inf") else "]"
    return f"{left}{card.low:g}, {card.high:g}{right}".replace("inf", "∞")


def _needs(card: Any) -> list[str]:
    return sorted(card.needs - {"ranking"})


def _linked(paragraphs: str, prose: Mapping[str, str]) -> str:
    """A docstring whose mentions of written pages lead there."""

    def link(found: re.Match[str]) -> str:
        return f"[{_title(prose[found[1]])}](../{found[1]})" if found[1] in prose else found[0]

    return re.sub(r"docs/([\w/]+\.md)", link, paragraphs)


def _title(markdown: str) -> str:
    return markdown.partition("\n")[0].removeprefix("# ")


def _links(name: str, prose: Mapping[str, str]) -> list[tuple[str, str]]:
    """The written pages that speak of an entry, those that do so most first."""
    spoken = re.compile(rf"`{re.escape(name)}(?:[@`(]| =)|\"{re.escape(name)}[@\"]")
    counts = {path: len(spoken.findall(markdown)) for path, markdown in prose.items()}
    found = sorted((path for path, count in counts.items() if count), key=lambda path: (-counts[path], path))
    return [(_title(prose[path]), path) for path in found[:6]]
