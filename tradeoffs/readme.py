"""Draws the README's figure from the records: `python -m tradeoffs.readme`."""

from tradeoffs import plots, records
from tradeoffs.reproduction import runs

FIGURE = "accuracy_against_parameters.png"

if __name__ == "__main__":
    figure = plots.accuracy_against_parameters(
        [
            run
            for model in ("keras_mlp", "keras_cnn", "pytorch_cnn")
            for run in runs(model)
        ],
        "Fifty-five times the parameters for a third of a point",
    )
    figure.savefig(records.results_folder() / FIGURE, dpi=150)
