"""HTML from templates, with everything that a page needs inside it."""

from __future__ import annotations

from typing import Any

from hashkernels import _validation as check


def render(package: str, template: str, **values: Any) -> str:
    """A whole document from a template in the folder ``templates`` of a package, or one that all pages share.

    Raises:
        ImportError: without jinja2.
    """
    jinja2 = check.require("jinja2", extra="report")
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(package, "templates"), jinja2.PackageLoader("hashkernels._page", "templates")]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    page: str = environment.get_template(template).render(**values)
    return encodable(page)


def encodable(text: str) -> str:
    """Text that UTF-8 can write: what Python makes of bytes in a file name that are none is spelled out."""
    return text.encode(errors="backslashreplace").decode()


def safe(markup: str) -> Any:
    """Markup of our own, such as a figure, that templates must not escape."""
    return check.require("markupsafe", extra="report").Markup(markup)
