"""Where `xai-bench` starts: a package that cannot be imported is no verdict either."""

import traceback

from xai_bench.exits import OUR_FAULT, leave


def main() -> None:
    """The command line; exits with 70 where it cannot be imported, which python would call 1."""
    try:
        from xai_bench import cli  # noqa: PLC0415 - what fails here is told
    except Exception:  # noqa: BLE001 - any fault of any package
        leave(OUR_FAULT, traceback.print_exc)
    cli.main()
