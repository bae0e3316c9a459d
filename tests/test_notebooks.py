"""The notebooks as files; nbval runs them and compares what they print."""

import json
import re
import statistics
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

# What nbval may ignore: set-ups, times and live trainings. Any other cell is compared.
IGNORED = {
    "01_keras_baselines": ["cell-02", "cell-19", "cell-20", "cell-22"],
    "02_pytorch_baseline": ["cell-02", "loop-and-fit", "cell-15", "cell-16"],
    "03_trade_offs": [
        *("cell-02", "cell-04", "cell-06", "cell-08", "cell-10"),
        *("cell-12", "cell-14", "cell-18", "cell-24", "cell-27"),
        *("my-training", "my-runs"),
    ],
    "04_gap_slimming": [
        *(
            "cell-02",
            "cell-10",
            "cell-11",
            "cell-28",
            "time-to-98",
            "cell-13",
            "cell-14",
        ),
    ],
    "05_small_net": [
        *("cell-02", "cell-09", "cell-10", "cell-16", "cell-18", "cell-44", "cell-45"),
    ],
    "06_harder_data": ["cell-02", "cell-18", "cell-23"],
    "07_on_the_device": ["cell-02", "cell-20", "cell-22"],
    "08_smaller_still": [
        "cell-02",
        "halving",
        "cell-24",
        "cell-25",
        "cell-29",
        "rows-on-device",
    ],
    "09_decide": ["cell-02", "cell-36"],
    "10_verdicts": ["cell-02", "cell-25"],
}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


def code_cells(path):
    notebook = nbformat.read(path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_series_is_there():
    assert [path.stem for path in NOTEBOOKS] == list(IGNORED)


def test_notebook_is_executed_in_order_from_a_fresh_kernel(path):
    """nbval compares nothing for a cell without an execution count."""
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1))


def test_outputs_hold_no_error_path_bar_or_svg(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr"
            text = json.dumps(output)
            assert "image/svg+xml" not in text
            assert "widget-view" not in text
            assert not re.search(r"/(home|root|Users|work|tmp)/", text)
    assert path.stat().st_size < 1_000_000


def test_only_what_is_listed_is_ignored_by_nbval(path):
    tags = {cell.id: cell.metadata.get("tags", []) for cell in code_cells(path)}
    assert {tag for of in tags.values() for tag in of} <= {"nbval-ignore-output"}
    assert [name for name, of in tags.items() if of] == IGNORED[path.stem]


def test_code_cells_are_short_and_narrow(path):
    cells = [cell.source.splitlines() for cell in code_cells(path)]
    for lines in cells:
        assert len(lines) <= 20, lines
        assert max(map(len, lines)) <= 88, lines
    assert statistics.median(map(len, cells)) <= 10


def test_every_plotting_cell_shows_its_figure(path):
    """nbval ignores pictures, so it would not miss one."""
    for cell in code_cells(path):
        data = {kind for output in cell.outputs for kind in output.get("data", {})}
        if re.search(r"plots\.\w+\(", cell.source):
            assert "image/png" in data, cell.source
        if "decision_panel(" in cell.source:
            assert "application/vnd.vegalite.v5+json" in data


def test_kernel_is_named_and_nothing_of_the_machine_is(path):
    metadata = nbformat.read(path, as_version=4).metadata
    assert metadata.kernelspec.name == "python3"
    assert set(metadata) <= {"kernelspec", "language_info"}
