"""docs/benchmarks.md is what its template and the measured figures make."""

from benchmarks.page import PAGE, page


def test_the_page_is_that_of_the_figures():
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m benchmarks.page writes it"
