"""References: the scores of a run in one small file, made to be committed, reviewed and compared with."""

from xai_bench.references.digits import rounded
from xai_bench.references.file import content, parsed, read, write

__all__ = ["content", "parsed", "read", "rounded", "write"]
