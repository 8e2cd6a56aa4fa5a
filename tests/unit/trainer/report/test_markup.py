"""The HTML that all pages share."""

from trainer.report.markup import document, panel, table


def test_document_holds_its_styles_in_order() -> None:
    page = document("title", ["report.css", "check.css"], "<p>body</p>")
    assert page.startswith("<!doctype html>")
    assert page.index(":root") < page.index("b.error")
    assert "<body><main><p>body</p></main></body>" in page


def test_table_has_a_head_and_a_row_for_each_entry() -> None:
    html = table(("", "share"), [("found", "1 %"), ("missed", "2 %")])
    assert "<th></th><th>share</th>" in html
    assert html.count("<tr>") == 3
    assert "<td>missed</td><td>2 %</td>" in html


def test_panel_holds_title_text_and_body() -> None:
    html = panel("title", "text", "<svg></svg>")
    assert html == ('<div class="panel"><h3>title</h3><p>text</p><svg></svg></div>')
