"""What the tests read of a page: its tags with their attributes, and that every one is closed."""

from html.parser import HTMLParser

VOID = ("meta", "br", "wbr", "input", "img")


class Page(HTMLParser):
    """Collects tags and attributes; an end tag that closes another one fails."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
