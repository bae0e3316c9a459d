"""The figures of the smaller networks; each function returns one."""

import numpy as np

from tradeoffs import drawing as draw
from tradeoffs.intervals import difference
from tradeoffs.labels import label
from tradeoffs.plots import finish_by_size
from tradeoffs.search_plots import weights_of
from tradeoffs.tables import summarize

# How a published network was selected, to its marker.
MARKERS = {"test images": "X", "validation images": "d", "none": "p", "not said": "v"}
SELECTED = {"none": "no selection", "not said": "selection not said"}


def ladder(runs: list, published, title: str):
    """Test error and parameters of recorded networks, beside published ones.

    Args:
        runs: recorded, of the article's models and of the rows.
        published: the table of `tradeoffs.smaller.published`.
    """
    figure, axis = draw.axes(4.6)
    for row in summarize(runs).itertuples():
        tiny = row.model == "tiny"
        text = f"{row.num_parameters:,}" if tiny else label(row.model)
        place = row.num_parameters, draw.error(row.accuracy_mean), row.accuracy_std
        side = _SIDES.get(row.variant, "below") if tiny else "above"
        draw.point(axis, row.model, *place, text, side=side, size=7)
    hollow = {"color": "#888888", "markerfacecolor": "none", "markersize": 8}
    for selected, marker in MARKERS.items():
        those = published[published.selected_on == selected]
        where = SELECTED.get(selected, f"selected on {selected}")
        look = hollow | {"zorder": 5, "label": f"published, {where}"}
        axis.plot(those.parameters, draw.error(those.accuracy), marker, **look)
    style = draw.style("tiny", linestyle="none", markersize=7)
    axis.plot([], [], **style | {"label": "a row here: mean ± deviation of five seeds"})
    finish_by_size(figure, axis, title, x=0.08, y=0.12)
    return figure


# Where a row's text stands, so that none touches another.
_SIDES = {"tiny,parameters=518": "left", "tiny,parameters=697": "above right"}


def ablation(table, title: str):
    """What each change that is taken back costs, in points, with 95 % intervals.

    The axis ends at 2 points. What is beyond is cut off there, and its number, as all
    of them, stands at the end.

    Args:
        table: of `held_back.table("ablation")`; its first row has all changes.
    """
    whole, *others = [100 * np.array(s.split(), float) for s in table.accuracies]
    found = [difference(whole, values) for values in others]
    losses = [finding.value for finding in found]
    reach = [(f.value - f.low, f.high - f.value) for f in found]
    names = list(table.tried[1:])
    figure, axis = draw.axes(0.45 * len(names) + 1.3)
    axis.barh(names, losses, xerr=np.transpose(reach), color="#009e73", capsize=3)
    axis.axvline(0, **draw.THIN)
    for height, loss in enumerate(losses):
        at_the_end = {"transform": axis.get_yaxis_transform(), "va": "center"}
        axis.text(1.01, height, f"{loss:.1f}", fontsize=9, **at_the_end)
    axis.set_xlim(-0.5, 2)
    axis.invert_yaxis()
    text = "points of accuracy lost on held-back images (line: 95 % interval)"
    draw.finish(axis, text, "", title)
    return figure


def all_weights(network, title: str):
    """Every weight and bias of a tiny network, a panel a layer.

    Args:
        network: an `nn.Sequential` of convolutions and a linear layer.
    """
    layers = {
        name: layer
        for name, layer in network.named_children()
        if list(layer.parameters())
    }
    columns = 4
    rows = -(-len(layers) // columns)
    figure, panels = draw.axes(2.1 * rows + 0.4, columns, rows, title=title)
    for axis in np.ravel(panels)[len(layers) :]:
        axis.remove()
    for axis, (name, layer) in zip(np.ravel(panels), layers.items(), strict=False):
        weights = layer.weight.detach().numpy()
        table = weights.reshape(len(weights), -1)
        count = sum(p.numel() for p in layer.parameters())
        if layer.bias is not None:
            bias = layer.bias.detach().numpy()[:, None]
            gap = np.full_like(bias, np.nan)
            table = np.concatenate([table, gap, bias], 1)
        weights_of(axis, table, np.nanmax(np.abs(table)))
        axis.set(xticks=[], yticks=[], title=f"{name}: {count}")
        axis.title.set_fontsize(9)
        axis.grid(visible=False)
        axis.spines[:].set_visible(False)
    figure.supxlabel("weights of one filter, and its bias")
    figure.supylabel("filter or digit")
    return figure
