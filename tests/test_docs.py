"""The documentation: links, commands and tables agree with the project, and the site builds."""

import ast
import dataclasses
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
import tomllib

import pytest
from absl import flags
from conftest import ROOT

import jax_nst
from jax_nst.cli.flags import define_flags
from jax_nst.losses import CONTENT_TERMS, RECIPE_NAMES, STYLE_TERMS

DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.glob("*.md")))
BENCHMARKS = tuple(sorted((ROOT / "benchmarks").glob("*.md")))
LONGEST_LINE = 109


def name_of(path):
    return str(path.relative_to(ROOT))


def blocks(text, language):
    """The fenced code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def without_code(text):
    return re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.M | re.S)


def anchors(text):
    """The anchors that headings get: lower case, without punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def commands(text):
    """The command lines of the program, continued lines joined, without what the shell adds."""
    for block in blocks(text, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            if match := re.search(r"main\.py (--[^#\"]*)", line):
                yield match.group(1)


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("tables", DOCS / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", [*PAGES, *BENCHMARKS], ids=name_of)
def test_links_lead_somewhere(path):
    text = without_code(path.read_text())
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"^\[[^\]]+\]: (\S+)", text, re.M)
    for link in links:
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


@pytest.mark.parametrize("path", [*PAGES, *BENCHMARKS], ids=name_of)
def test_lines_are_short(path):
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    if path in BENCHMARKS:
        text = re.sub(r"^\|.*$", "", text, flags=re.M)  # tables of many columns
    assert [line for line in text.splitlines() if len(line) > LONGEST_LINE] == []


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) <= 950


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_commands_are_accepted(path):
    for command in commands(path.read_text()):
        parser = flags.FlagValues()
        define_flags(parser)
        parser(["main.py", *shlex.split(command)])


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_python_imports_what_exists(path):
    for block in blocks(path.read_text(), "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module == "jax_nst":
                assert {alias.name for alias in node.names} <= set(jax_nst.__all__)


def test_tables_list_every_flag_once(tables):
    parser = flags.FlagValues()
    define_flags(parser)
    settings, others = (
        re.findall(r"^\| `--(\w+)` \|.*\|$", table, re.M)
        for table in (tables.settings_table(), tables.other_flags_table())
    )
    assert settings == [field.name for field in dataclasses.fields(jax_nst.Config)]
    assert sorted(settings + others) == sorted(flag.name for flag in parser.get_flags_for_module("jax_nst"))


def test_a_row_has_the_default_and_the_documentation_of_the_field(tables):
    (row,) = (line for line in tables.settings_table().splitlines() if line.startswith("| `--steps`"))
    (field,) = (field for field in dataclasses.fields(jax_nst.Config) if field.name == "steps")
    assert row == f"| `--steps` | `{field.default}` | {field.metadata['doc']}; several make a sweep |"


def test_every_measure_is_in_its_table(tables):
    rows = re.findall(
        r"^\| `(\w+)` \| (?:lower|higher|near 1) \| .+ \| .+ \|$", tables.metrics_table(), re.M
    )
    assert rows == list(jax_nst.METRICS)


def test_the_gallery_shows_what_its_commands_make(tables):
    text = tables.gallery()
    for command in commands(text):
        parser = flags.FlagValues()
        define_flags(parser)
        parser(["main.py", *shlex.split(command)])
        files = re.findall(r"examples/\w+\.\w+", command)
        assert files
        assert all((ROOT / file).exists() for file in files), command
    pictures = re.findall(r"^!\[[^\]]+\]\((images/gallery/[^)]+)\)$", text, re.M)
    assert len(pictures) == len(set(pictures)) == text.count("main.py")
    on_disk = (DOCS / "images" / "gallery").iterdir()
    assert sorted(DOCS / picture for picture in pictures) == sorted(on_disk)


def test_every_recipe_and_package_is_described():
    losses, design = ((DOCS / name).read_text() for name in ("losses.md", "design.md"))
    assert all(losses.count(f"`{name}`") >= 2 for name in RECIPE_NAMES)
    named = re.findall(r"^\| `(\w+)` (?:\(default[^|]*\) )?\|", losses, re.M)
    assert {*STYLE_TERMS, *CONTENT_TERMS} <= set(named)
    packages = [path.parent.name for path in (ROOT / "jax_nst").glob("*/__init__.py")]
    assert all(f"| `{name}` |" in design for name in packages)


@pytest.mark.slow
def test_the_examples_of_extending_run(capsys):
    examples = blocks((DOCS / "extending.md").read_text(), "python")
    assert all(example.count("\n") < 30 for example in examples)
    exec(compile("\n".join(examples), "extending.md", "exec"), {})
    detail_loss, name, message = capsys.readouterr().out.splitlines()[1:]
    assert detail_loss.startswith("[")
    assert (name, message) == ("blur", "ok")


def test_every_public_name_is_in_the_reference():
    named = re.findall(r"^::: jax_nst\.(\w+)", (DOCS / "reference.md").read_text(), re.M)
    assert sorted(named) == sorted(jax_nst.__all__)


def test_every_page_is_in_the_navigation():
    settings = tomllib.loads((ROOT / "zensical.toml").read_text())
    pages = [page for entry in settings["project"]["nav"] for page in entry.values()]
    assert sorted(pages) == [path.name for path in PAGES[1:]]


def test_the_site_builds_without_warnings(tmp_path):
    pytest.importorskip("zensical")
    for folder in ("docs", "examples", "jax_nst", "weights"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    build = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    site = tmp_path / "build" / "site"
    assert "--style_layer_weights" in (site / "cli" / "index.html").read_text()
    page = (site / "index.html").read_text()
    assert not re.search(r"(?:src|href)=\"https?://[^\"]+\.(?:js|css|woff2?)\"", page)
