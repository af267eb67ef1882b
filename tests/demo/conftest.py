import re

import pytest

from tests.demo.page import Page, serving


@pytest.fixture(scope="package")
def server():
    with serving() as demo:
        yield demo


@pytest.fixture
def page(server, request):
    """A page of a browser of its own, closed at the end."""
    page = Page(server, re.sub(r"\W", "_", request.node.name)[:64])
    yield page
    page.close()
