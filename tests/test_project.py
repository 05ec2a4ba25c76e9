"""The project file, the pins and the environment agree; nothing private is in git."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from thesislib import __version__

ROOT = Path(__file__).resolve().parents[1]
STAGES = ["corpora", "spectra", "representations", "evaluation", "reporting"]


def read_pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def read_requirements():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + [line for lines in extras.values() for line in lines]
    return [Requirement(line) for line in wanted]


@pytest.mark.parametrize("requirement", read_requirements(), ids=str)
def test_every_requirement_has_a_pin_that_satisfies_it(requirement):
    pins = read_pins()
    name = canonicalize_name(requirement.name)
    assert name in pins
    assert requirement.specifier.contains(pins[name])


def test_environment_lists_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    lines = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    listed = dict(line.split("==") for line in lines if not line.startswith("-"))
    pins = read_pins()
    assert listed == {name: pins[name] for name in listed}
    needed = {canonicalize_name(requirement.name) for requirement in read_requirements()}
    assert set(listed) == needed
    assert "--constraint constraints.txt" in lines


def test_owner_s_libraries_are_required():
    names = {canonicalize_name(requirement.name) for requirement in read_requirements()}
    fixed = "jupyterlab papermill torch torchvision librosa matplotlib seaborn scikit-learn"
    assert {*fixed.split(), "pandas", "scipy", "nbval"} <= names


def test_one_version_and_date_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    about = json.loads((ROOT / "codemeta.json").read_text("utf-8"))
    date = citation["date-released"].isoformat()
    assert citation["version"] == about["version"] == __version__
    assert about["datePublished"] == date
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(r"^## (.+)$", changes, re.M)[1] == f"{__version__} ({date})"


def test_codemeta_describes_the_project():
    about = json.loads((ROOT / "codemeta.json").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert about["@context"].startswith("https://w3id.org/codemeta/")
    assert about["@type"] == "SoftwareSourceCode"
    # Terms of CodeMeta and schema.org; a reader ignores any other key.
    assert set(about) <= {
        *("@context", "@type", "name", "description", "version", "datePublished", "license"),
        *("developmentStatus", "programmingLanguage", "runtimePlatform", "operatingSystem"),
        *("softwareRequirements", "applicationCategory", "keywords", "author"),
        "referencePublication",
    }
    assert about["name"] == project["name"]
    assert about["license"].endswith(f"/{project['license']}")
    needed = {canonicalize_name(requirement.name) for requirement in read_requirements()}
    assert set(about["softwareRequirements"]) <= needed


def test_the_paper_cites_what_it_lists_and_has_the_readme_s_numbers():
    paper = (ROOT / "docs/paper/paper.md").read_text("utf-8")
    entries = re.findall(r"^@\w+{(\w+),", (ROOT / "docs/paper/paper.bib").read_text("utf-8"), re.M)
    assert sorted(entries) == sorted(set(re.findall(r"\[@(\w+)\]", paper)))
    readme = (ROOT / "README.md").read_text("utf-8")
    intervals = re.findall(r"\[−?[\d.]+,\s−?[\d.]+\]", paper)
    assert len(intervals) == 3
    plain = " ".join(readme.split())
    assert [text for text in intervals if " ".join(text.split()) not in plain] == []
    assert 500 < len(paper.split()) < 1000


def test_make_alone_prints_the_targets():
    found = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "reproduce", "test", "lab"):
        assert re.search(rf"^{target}\s+\S", found, re.M)


def list_tracked():
    try:
        found = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / line for line in found.stdout.splitlines()]


def test_results_and_corpora_are_not_in_git():
    tracked = [path.relative_to(ROOT).as_posix() for path in list_tracked()]
    stray = [
        name
        for name in tracked
        if (name.startswith("results/") and name != "results/.gitkeep")
        or (name.startswith("data/") and not re.match(r"data/(README\.md|published/)", name))
    ]
    assert stray == []


def test_the_stages_import_only_from_the_left():
    wrong = []
    for position, stage in enumerate(STAGES):
        for path in (ROOT / "thesislib" / stage).glob("*.py"):
            for other in re.findall(r"(?:from|import) thesislib\.(\w+)", path.read_text()):
                if other in STAGES and STAGES.index(other) > position:
                    wrong.append(f"{path.name} imports {other}")
    assert wrong == []


def test_no_stage_imports_what_stands_on_top():
    """The thesis's pipeline can be read without opening ``compendium`` or ``export``."""
    on_top = re.compile(r"(?:from|import) thesislib\.(compendium|export)\b")
    lower = [p for p in ROOT.glob("thesislib/*/*.py") if p.parent.name in STAGES]
    assert [f"{p.parent.name}/{p.name}" for p in lower if on_top.search(p.read_text())] == []
