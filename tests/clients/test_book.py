"""The book: its contents reach every page, its links lead somewhere, and its Python runs."""

import pathlib
import re
import subprocess
import sys

import pytest

from server import PATIENCE_S, REPOSITORY, Server, environment

DOCS = REPOSITORY / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.name != "SUMMARY.md")
LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w+)( notest)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def links(path: pathlib.Path) -> list[str]:
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [link for link in LINK.findall(text) if not link.startswith(("http:", "https:"))]


def anchors(path: pathlib.Path) -> set[str]:
    """As GitHub and mdBook name headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_the_contents_reach_every_page():
    reached = {(DOCS / link).resolve() for link in links(DOCS / "SUMMARY.md")}
    assert reached == {page.resolve() for page in PAGES}


@pytest.mark.parametrize("page", [DOCS / "SUMMARY.md", *PAGES, REPOSITORY / "README.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page.name}: {link}"


def snippets(page: pathlib.Path) -> list[str]:
    return [text for language, skipped, text in BLOCK.findall(page.read_text()) if language == "python" and not skipped]


@pytest.mark.parametrize("page", [page for page in (DOCS / "book").glob("*.md") if snippets(page)], ids=lambda path: path.stem)
def test_python_of_a_page_runs_and_its_assertions_hold(page):
    with Server("--workers", "2") as server:
        text = "\n".join(snippets(page)).replace("redis.Redis(", f"redis.Redis(port={server.port}, ").replace(", )", ")")
        ran = subprocess.run(
            [sys.executable, "-c", text], capture_output=True, text=True, env=environment(), timeout=PATIENCE_S, check=False
        )
        assert ran.returncode == 0, ran.stderr


def test_what_is_not_run_says_so():
    for page in PAGES:
        for language, skipped, _ in BLOCK.findall(page.read_text()):
            if skipped or (language in {"js", "go", "java", "rust"} and page.parent.name == "book"):
                assert re.search(r"[Nn]ot run by the\s+tests", page.read_text()), page.name
