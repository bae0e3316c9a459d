import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import tradeoffs
from tradeoffs.__main__ import main

ROOT = Path(__file__).parent.parent


FRAMEWORKS = {"torch", "tensorflow", "keras"}


@pytest.mark.parametrize(
    ("code", "kept_out"),
    [
        (
            "tradeoffs.MODELS; tradeoffs.ARTICLE; tradeoffs.run",
            FRAMEWORKS | {"pandas", "optuna", "matplotlib"},
        ),
        ("tradeoffs.run('pytorch_cnn').test_accuracy", FRAMEWORKS),
        ("tradeoffs.decision_panel; tradeoffs.claims()", FRAMEWORKS | {"optuna"}),
    ],
)
def test_what_needs_no_framework_loads_none(code, kept_out):
    code = f"import sys, tradeoffs; {code}; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert kept_out.isdisjoint(loaded.split())


def test_every_public_name_loads_and_is_documented_with_an_example():
    for name in tradeoffs.__all__:
        found = getattr(tradeoffs, name)
        assert found.__doc__, name
        assert not callable(found) or ">>> " in found.__doc__, name
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = tradeoffs.no_such_name


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"].values()
REQUIREMENTS = {*PROJECT["dependencies"], *(text for extra in EXTRAS for text in extra)}
REQUIREMENTS.remove("tradeoffs[cluster,device,site]")


def test_environment_yml_installs_the_project_and_the_same_packages():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip_section,) = (
        entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)
    )
    options = {line for line in pip_section if line.startswith("--")}
    assert {"--editable .[test]", "--constraint constraints.txt"} <= options
    assert set(pip_section) - options == REQUIREMENTS


def test_constraints_cover_every_requirement():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and line[0] != "#"]
    constraints = {pin.name.lower(): pin.specifier for pin in pins}
    for requirement in map(Requirement, REQUIREMENTS):
        (pin,) = constraints[requirement.name.lower()]
        assert requirement.specifier.contains(pin.version), requirement


@pytest.mark.parametrize(
    "command",
    [[], ["fetch"], ["reproduce"], ["measure"], ["search"], ["claims"], ["device"]],
)
def test_each_command_has_a_help_text(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([*command, "--help"])
    assert "usage: python -m tradeoffs" in capsys.readouterr().out


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
def test_a_wrong_call_says_what_is_allowed(arguments, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert said in capsys.readouterr().err


def test_reproduce_has_nothing_to_do_in_a_whole_checkout(capsys):
    assert main(["reproduce", "--list"]) == 0
    assert " 0 to train" in capsys.readouterr().out


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
