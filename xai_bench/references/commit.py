"""The commit of the code that was scored."""


def current() -> str:
    """Of the working tree; "" where there is none."""
    return ""
