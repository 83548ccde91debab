"""The documentation as a site: builds strictly, loads nothing of other hosts, has complete references."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs/reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """`make docs`, into another folder and with proxies that lead nowhere."""
    folder = tmp_path_factory.mktemp("site")
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | proxies | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_every_page_is_built_and_loads_nothing_of_other_hosts(site):
    pages = list(site.rglob("*.html"))
    names = {page.relative_to(site).with_suffix(".md").as_posix() for page in pages}
    assert {path.name for path in (ROOT / "docs").glob("*.md")} <= names
    assert {"reference/cli.md", "reference/params.md", "reference/http.md"} <= names
    for page in pages:
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe)[^>]* src=\"?(https?:[^\s\">]+)", text)
        loaded += re.findall(r"<link[^>]* rel=\"?stylesheet\"?[^>]* href=\"?(https?:[^\s\">]+)", text)
        assert loaded == [], page.name


def test_the_command_lines_reference_has_every_option(reference):
    from dose import cli

    page = reference.cli_page()
    count = 0
    for name, parser in reference._commands(cli.build_parser()):
        section = page.partition(f"\n## dose {name}\n")[2].partition("\n## ")[0]
        assert section, name
        for action in parser._actions:
            for option in {*action.option_strings} - {"-h", "--help"}:
                assert f"`{option}" in section, (name, option)
                count += 1
    assert count > 100
    assert "exit codes:" in page


def _keys(values: dict, path: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        found.append(f"{path}{key}")
        if isinstance(value, dict):
            found += _keys(value, f"{path}{key}.")
    return found


def test_the_parameters_reference_has_every_section_and_every_key_once(reference):
    page = reference.params_page()
    for section, values in yaml.safe_load((ROOT / "params.yaml").read_text()).items():
        rows = page.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
        named = re.findall(r"^\| `([\w.]+)` \|", rows, re.M)
        assert len(set(named)) == len(named)
        # Mappings of free names (hits per drum, the space of a sweep) are one row.
        missing = [key for key in _keys(values) if key not in named and key.rpartition(".")[0] not in named]
        assert missing == [], section


def test_comments_of_both_files_are_read(reference, tmp_path):
    text = "a:\n  b: 1  # first\n  c: {x: 1}   # of a mapping\n  d: '#no'\ne: # a section\n  b: 2\n"
    assert reference.yaml_comments(text) == {"a.b": "first", "a.c": "of a mapping", "e": "a section"}
    (tmp_path / "with_comments.py").write_text(
        "import dataclasses\n@dataclasses.dataclass\nclass C:\n    a: int  # at the end\n"
        "    # before\n    # it\n    b: str = '#'\n    c: int = 0\n"
    )
    spec = importlib.util.spec_from_file_location("with_comments", tmp_path / "with_comments.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["with_comments"] = module
    spec.loader.exec_module(module)
    assert reference.field_comments(module.C) == {"a": "at the end", "b": "before it"}
