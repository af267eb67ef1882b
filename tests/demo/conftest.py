import pytest

from tests.demo.page import Page, serving


@pytest.fixture(scope="package")
def server():
    with serving() as demo:
        yield demo


@pytest.fixture
def page(server, request):
    """A page of a browser of its own, closed at the end."""
    page = Page(server, f"tab_{abs(hash(request.node.name))}")
    yield page
    page.close()
