"""Words for numbers: findings, one sentence per comparison, a summary for the top of a page, and maps described."""

from xai_bench.reports.words.findings import Finding, findings
from xai_bench.reports.words.maps import described
from xai_bench.reports.words.sentences import comparison, sentences
from xai_bench.reports.words.summary import Summary, summary

__all__ = ["Finding", "Summary", "comparison", "described", "findings", "sentences", "summary"]
