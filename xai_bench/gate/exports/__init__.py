"""What a check says, in every form: for a terminal, a job summary, JUnit, machines, and a chart over time."""

from xai_bench.gate.exports.junit import junit
from xai_bench.gate.exports.machines import benchmark, records
from xai_bench.gate.exports.summary import LIMIT, markdown
from xai_bench.gate.exports.terminal import text
from xai_bench.gate.exports.words import advice

__all__ = ["LIMIT", "advice", "benchmark", "junit", "markdown", "records", "text"]
