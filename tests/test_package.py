import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import tradeoffs

ROOT = Path(__file__).parent.parent


def run(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120
    )


def test_import_loads_no_framework():
    code = (
        "import sys, tradeoffs; tradeoffs.MODELS; tradeoffs.ARTICLE; tradeoffs.run;"
        "loaded = {'torch', 'tensorflow', 'keras', 'pandas', 'optuna', 'matplotlib'}"
        " & set(sys.modules); sys.exit(' '.join(loaded) or 0)"
    )
    done = run("-c", code)
    assert done.returncode == 0, done.stderr


def test_reading_a_record_loads_no_framework():
    code = (
        "import sys, tradeoffs; tradeoffs.run('pytorch_cnn').test_accuracy;"
        "loaded = {'torch', 'tensorflow', 'keras'} & set(sys.modules);"
        "sys.exit(' '.join(loaded) or 0)"
    )
    done = run("-c", code)
    assert done.returncode == 0, done.stderr


def test_every_public_name_loads_and_is_documented():
    for name in tradeoffs.__all__:
        assert getattr(tradeoffs, name).__doc__, name
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = tradeoffs.no_such_name


def test_environment_yml_installs_the_project_itself():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip_section,) = (
        entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)
    )
    assert "--editable .[test]" in pip_section
    assert "--constraint constraints.txt" in pip_section


def requirements(project):
    extras = project["optional-dependencies"]
    every = (
        *project["dependencies"],
        *extras["cluster"],
        *extras["device"],
        *extras["test"],
    )
    return [text for text in every if text != "tradeoffs[cluster,device]"]


def test_environment_yml_and_pyproject_name_the_same_packages():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (pip_section,) = (
        entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)
    )
    listed = {line for line in pip_section if not line.startswith("--")}
    assert listed == set(requirements(project))


def test_constraints_cover_every_requirement():
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    constraints = {
        requirement.name.lower(): requirement.specifier
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
        for requirement in [Requirement(line)]
    }
    for text in requirements(project):
        requirement = Requirement(text)
        (pin,) = constraints[requirement.name.lower()]
        assert requirement.specifier.contains(pin.version), text


@pytest.mark.parametrize(
    "command",
    [[], ["fetch"], ["reproduce"], ["measure"], ["search"], ["claims"], ["device"]],
)
def test_each_command_has_a_help_text(command):
    done = run("-m", "tradeoffs", *command, "--help")
    assert done.returncode == 0
    assert "usage: python -m tradeoffs" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["reproduce", "--only", "resnet"], "invalid choice: 'resnet'"),
        (["reproduce", "--seeds", "0"], "'0' is not a whole number above 0"),
        (["reproduce", "--jobs", "many"], "'many' is not a whole number"),
        (["retrain"], "invalid choice: 'retrain'"),
        ([], "required: COMMAND"),
    ],
)
def test_a_wrong_call_says_what_is_allowed(arguments, said):
    done = run("-m", "tradeoffs", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_reproduce_has_nothing_to_do_in_a_whole_checkout():
    done = run("-m", "tradeoffs", "reproduce", "--list")
    assert done.returncode == 0, done.stderr
    assert " 0 to train" in done.stdout


WRITER = runpy.run_path(str(ROOT / "docs" / "write_tables.py"))


@pytest.mark.parametrize("page", WRITER["TABLES"])
def test_tables_are_as_new_as_the_records(page):
    assert WRITER["renewed"](page) == (ROOT / page).read_text(), "run 'make refresh'"


def test_readme_is_short_and_its_links_lead_somewhere():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{target} in {page.name}"
