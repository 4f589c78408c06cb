"""`python -m xai_bench`."""

from xai_bench.entry import main

main()
