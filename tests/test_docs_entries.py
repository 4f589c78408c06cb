"""The pages made from the catalogues: a page each, whose tables build what they say and whose snippets run."""

import sys
import tomllib
from pathlib import Path

import page_code
import pytest
import torch

import xai_bench as xb
from xai_bench.adapters.checkpoint import save_model
from xai_bench.runs.suite import Suite

HOOKS = Path(__file__).parent.parent / "docs" / "hooks"
sys.path.insert(0, str(HOOKS))
import entry_pages  # noqa: E402
import facts  # noqa: E402
import use  # noqa: E402

sys.path.remove(str(HOOKS))
ENTRIES = [(kind, name) for kind, catalogue in facts.KINDS.items() for name in catalogue]
PROTOCOLS = [
    (kind, f"{name}@{protocol}")
    for kind, name in ENTRIES
    for protocol in getattr(facts.KINDS[kind][name], "protocols", {})
]
SMALL = {
    "timm:resnet50": {"name": "timm:test_resnet", "input_size": 32},
    "timm:resnet18": {"name": "timm:resnet10t", "input_size": 64},
    "timm:vit_small_patch16_224": {"name": "timm:test_vit", "input_size": 64},
    use.TRAINED.format("plain"): {"name": "timm:test_resnet", "input_size": 64},
    use.TRAINED.format("ersm"): {"name": "ersm:test_resnet", "input_size": 64},
    use.TRAINED.format("hit"): {"name": "hit:tiny", "input_size": 64},
    use.TRAINED.format("comet"): {"name": "comet:test_resnet", "input_size": 64},
}


OFFERING = """
from torch import nn


class Offering(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 300)

    def forward(self, images):
        return self.head(images.mean((2, 3)))

    def native_map(self, inputs):
        return inputs.mean(1)


model = Offering
"""


def entry(kind, name):
    return facts.KINDS[kind][name]


@pytest.mark.parametrize(("kind", "name"), ENTRIES + PROTOCOLS)
def test_the_table_with_every_parameter_builds_the_very_entry(kind, name):
    wanted = facts.KINDS[kind].build(name)
    (table,) = next(iter(tomllib.loads(facts.written_out(kind, wanted)).values()))

    own = table["removal"] if kind == "removals" else table
    given = {one.name for one in facts.parameters(type(wanted)) if getattr(wanted, one.name) is not None}

    assert facts.KINDS[kind].build(own) == wanted
    assert own.keys() == {"name"} | given


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_the_snippets_in_python_and_toml_are_the_same_suite(kind, name):
    suite = use.use(kind, entry(kind, name))
    parsed = tomllib.loads(use.toml(suite))

    assert parsed | {"models": [parsed["models"][0]["name"]]} == suite
    assert Suite.of(parsed).metrics
    assert all(name in str(xb.METRICS.build(metric)) + str(suite) for metric in suite["metrics"])


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_a_page_says_what_the_card_and_the_fields_say(kind, name):
    card, page = entry(kind, name).card, entry_pages.entry_page(kind, entry(kind, name), {})
    rows = [f"| `{one.name}` | {entry_pages.cell(one.kind)} | " for one in facts.parameters(entry(kind, name))]

    assert page.startswith(f"# {name}\n")
    assert f"| source | {card.source} |" in page.replace("\\|", "|")
    assert f"| version | {card.version} |" in page
    assert [row for row in rows if row not in page] == []
    assert entry(kind, name).__doc__.partition("\n")[0].strip() in page


def test_comments_beside_fields_are_their_meaning():
    meanings = {one.name: one.meaning for one in facts.parameters(xb.METRICS["pointing_game"])}
    inherited = {one.name: one.meaning for one in facts.parameters(xb.METRICS["kar"])}

    assert meanings == {"tolerance": "pixels", "at": "", "ties": ""}
    assert inherited["removal"] == "`mean` is the model's mean colour, not measured on the train set"


def test_a_page_links_the_written_pages_that_speak_of_it():
    prose = {"a.md": "# Of A\n`deletion` and `deletion@rise`", "b.md": "# Of B\n`deletions`", "c.md": "# C\n`deletion`"}
    page = entry_pages.entry_page("metrics", xb.METRICS["deletion"], prose)

    assert page.partition("## Read on")[2].split() == [
        "-",
        "[Of",
        "A](../a.md)",
        "-",
        "[C](../c.md)",
        "Code:",
        "`xai_bench/metrics/deletion.py`",
    ]


def test_an_overview_has_a_row_for_each():
    rows = [line for kind in facts.KINDS for line in entry_pages.overview(kind).splitlines() if line.startswith("| [`")]

    assert sorted(row.split("`")[1] for row in rows) == sorted(name for _, name in ENTRIES)
    assert next(row for row in rows if "`deletion`" in row).split(" | ")[2:4] == ["↓", "[0, 1]"]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A folder with pictures, masks, and a small model for each that snippets name."""
    folder = tmp_path_factory.mktemp("snippets")
    page_code.furnish(folder)
    for number, recipe in enumerate(SMALL.values()):
        torch.manual_seed(number)
        model = xb.load_model(**recipe, pretrained=False, num_classes=300, device="cpu")
        keywords = {"name": recipe["name"], "num_classes": 300, "pretrained": False}
        save_model(model, folder / f"{number}.safetensors", recipe=keywords)
    (folder / "yours.py").write_text(OFFERING)
    return folder


def shrunk(suite):
    """The same suite with a small model and few images."""
    (model,) = suite["models"]
    few = {"n": 2} if suite["data"]["name"] == "planted" else {}
    small = model if model == use.OFFERS_A_MAP else f"{list(SMALL).index(model)}.safetensors"
    return suite | {"models": [small], "data": suite["data"] | few}


def snippets():
    """Every explainer and removal; of the metrics one for each shape of a snippet, but those that train for minutes."""
    shapes = {}
    for name, metric in xb.METRICS.items():
        if name not in (*use.RETRAINING, "label_similarity"):
            shapes.setdefault((metric.card.family, metric.card.scope, metric.card.needs), ("metrics", name))
    return [*shapes.values(), *((kind, name) for kind, name in ENTRIES if kind != "metrics")]


@pytest.mark.parametrize(("kind", "name"), snippets())
def test_a_snippet_runs(kind, name, small, monkeypatch, capsys):
    monkeypatch.chdir(small)
    monkeypatch.syspath_prepend(small)
    names = {}
    exec(use.python(shrunk(use.use(kind, entry(kind, name)))), names)
    scores = names["results"].scores

    assert "mean" in capsys.readouterr().out
    assert len(scores)
    assert (scores.score.notna() | (scores.reason != "")).all()
    assert name in " ".join({*scores.explainer.astype(str), *scores.metric.astype(str), *scores.spec.astype(str)})
