"""What a gate would guard for nothing: explainers no better than chance, cells that cannot get worse, wrong labels."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

from xai_bench.gate.cells import Key, cells, is_of_set, pair
from xai_bench.gate.planning import SCORES, Rows, Size
from xai_bench.gate.worsening import student
from xai_bench.runs.run import Run
from xai_bench.stats.blocks import bounds_of

CONTROL = "random"
ALPHA = 0.05
FAR = 10  # spreads of the scores within one margin: all images would have to change by more than sets them apart now
SHOWN = 5  # cells of one doubt, in words


class Doubts:
    """Sentences on the cells of a run that are to be judged."""

    def __init__(self, run: Run, sizes: Sequence[Size]) -> None:
        self.run, self.sizes = run, sizes

    def sentences(self) -> Iterator[str]:
        """One for each reason, with the cells that it is a reason for."""
        stuck = self._among(self._is_stuck)
        if weak := self._among(self._is_weak):
            yield (
                f"no better than the control {CONTROL!r}, so with nothing to lose: {_named(weak)}. Is the model "
                "trained, and given its own colours, size and classes? If it is, take another explainer or metric"
            )
        if stuck:
            yield (
                f"cannot get worse by more than the margin, for the worst score there is lies within it: "
                f"{_named(stuck)}. Take smaller margins or another metric"
            )
        if still := [size for size in self._among(_is_still) if size not in stuck]:
            yield (
                f"can hardly get worse by more than the margin, which is over {FAR} times the spread of the scores: "
                f"{_named(still)}. Take smaller margins"
            )
        for size in self._among(self._is_chance):
            yield self._of_labels(size)

    def _among(self, doubtful: Callable[[Size], bool]) -> list[Size]:
        return [size for size in self.sizes if doubtful(size)]

    @cached_property
    def _cells(self) -> Rows:
        return cells(self.run)

    def _mean(self, key: Key) -> float:
        """Of the images, or the number of the whole set."""
        rows = self._cells[key]
        return float((rows[rows["sample"] == "*"] if is_of_set(rows) else rows)["score"].mean())

    def _is_higher(self, metric: str) -> bool:
        return self.run.cards[metric].get("better") == "higher"

    def _is_weak(self, size: Size) -> bool:
        """Not better than the control by Student's one-sided test of the pairs; of a whole set, by the number."""
        own, control = _key(size), (size.data, size.model, CONTROL, size.metric)
        if size.explainer in ("none", CONTROL) or control not in self._cells:
            return False
        sign = 1 if self._is_higher(size.metric) else -1
        if is_of_set(self._cells[own]):
            return not sign * (self._mean(own) - self._mean(control)) > 0
        found = pair(self._cells[control], self._cells[own])
        ahead = sign * (found.now - found.then)[found.paired]
        return len(ahead) > 1 and student(ahead) > ALPHA  # that it has no scores is said elsewhere

    def _is_stuck(self, size: Size) -> bool:
        low, high = bounds_of(self.run.cards[size.metric])
        mean = self._mean(_key(size))
        return (mean - low if self._is_higher(size.metric) else high - mean) <= size.margin

    def _is_chance(self, size: Size) -> bool:
        classes = self._classes(size)
        top1 = self.run.cards[size.metric].get("name") == "top1"
        return top1 and self._mean(_key(size)) <= (1 / classes if classes > 1 else 0)

    def _classes(self, size: Size) -> int:
        return sum(map(bool, self.run.info.get("data", {}).get(size.data, {}).get("classes", ())))

    def _of_labels(self, size: Size) -> str:
        classes = self._classes(size)
        chance = f", and chance {1 / classes:.3g}" if classes > 1 else ""
        return (
            f"{size.metric} of {size.model} is {self._mean(_key(size)):.3g}{chance}: are the classes in the model's "
            "order? Class folders are numbered by the alphabet, unless their names are numbers or `class_index` of "
            "the data says otherwise"
        )


def _key(size: Size) -> Key:
    return size.data, size.model, size.explainer, size.metric


def _named(sizes: Sequence[Size]) -> str:
    named = [f"{size.metric} of {size.model if size.explainer == 'none' else size.explainer}" for size in sizes]
    more = f"; and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return "; ".join(named[:SHOWN]) + more


def _is_still(size: Size) -> bool:
    """A spread that was measured since an earlier run is small for a good reason."""
    return size.source == SCORES and size.spread * FAR < size.margin
