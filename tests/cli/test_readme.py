"""What the READMEs tell people to type exists and is taken by the command line."""

import re
import shlex
from pathlib import Path

import pytest
from tests.command import bakeoff

from bakeoff.cli.recipe_commands import preset_folder

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [
    "README.md",
    "README.zh-CN.md",
    *(
        path.relative_to(PROJECT).as_posix()
        for path in sorted((PROJECT / "docs/guide").glob("*.md"))
    ),
]


def _commands(text):
    """Lines of code blocks that begin with `bakeoff`, comments and prompts of a path cut off."""
    for block in re.findall(r"^```\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            match = re.match(r"(?:\.venv/bin/)?bakeoff (.*?)(?:\s+#.*)?$", line)
            if match:
                yield shlex.split(match.group(1))


def _read(page):
    return (PROJECT / page).read_text(encoding="utf-8")


ALL_COMMANDS = sorted({tuple(found) for page in PAGES for found in _commands(_read(page))})


@pytest.mark.parametrize("arguments", ALL_COMMANDS, ids=" ".join)
def test_every_command_of_the_readme_is_taken(tmp_path, arguments):
    """With ``--help`` after it, so that its options are parsed and nothing is started."""
    for preset in ("mine", "my"):
        text = (preset_folder() / "quickstart.yaml").read_text(encoding="utf-8")
        (tmp_path / f"{preset}.yaml").write_text(text, encoding="utf-8")
    assert "Usage: " in bakeoff(tmp_path, *arguments, "--help").stdout


def test_the_readme_names_every_command_and_no_other(tmp_path):
    listed = set(re.findall(r"^\| `bakeoff (\w+)", _read("README.md"), flags=re.MULTILINE))
    shown = set(re.findall(r"^│ (\w+) ", bakeoff(tmp_path, "--help").stdout, flags=re.MULTILINE))
    assert listed == shown


def test_the_chinese_readme_is_in_step():
    english, chinese = _read("README.md"), _read("README.zh-CN.md")
    for pattern in (r"^#+ ", r"^\| `", r"^```", r"^- \*\*"):
        count = [len(re.findall(pattern, text, flags=re.MULTILINE)) for text in (english, chinese)]
        assert count[0] == count[1], pattern
    code = [
        re.findall(r"^```\w*\n(.*?)^```", t, flags=re.DOTALL | re.M) for t in (english, chinese)
    ]
    for ours, theirs in zip(*code, strict=True):
        assert _without_comments(ours) == _without_comments(theirs)


def _without_comments(block):
    return [re.sub(r"\s+#.*", "", line) for line in block.splitlines()]


def test_every_link_of_the_docs_leads_somewhere():
    for page in [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_recipe_in_the_readme_is_valid(tmp_path):
    blocks = re.findall(r"^```yaml\n(.*?)^```", _read("README.md"), flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "r.yaml").write_text(blocks[0], encoding="utf-8")
    shown = bakeoff(tmp_path, "plan", "r.yaml").stdout
    # 2 sources, 3 scores of the untouched model, 6 trainings with 3 scores each
    assert "29 of 29 steps to do" in shown
