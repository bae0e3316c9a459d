"""How Sphinx makes the site of the notebooks, the pages of `docs/` and the package.

`make site` lays the sources out in `build/source`; nothing is fetched, while building
or while reading.
"""

import html
import json
import re
from pathlib import Path

from tradeoffs.panels import MIME_TYPE

project = "tradeoffs"
html_title = "Do I really need the bigger model?"
author = ""
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["README.md", "docs/index.md", "docs/_templates"]
nitpicky = True
nitpick_ignore = [
    ("py:class", "numpy.ndarray"),
    ("py:class", "tradeoffs.schedule_values.Augmentation"),  # tradeoffs.Augmentation
]
default_role = "code"  # of the docstrings' single backticks
html_theme = "sphinx_book_theme"
html_theme_options = {
    "navbar_persistent": [],  # the search stands at the side
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "use_download_button": True,
    "use_fullscreen_button": False,
}
templates_path = [str(Path(__file__).parent / "_templates")]
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("filter.js", {"defer": "defer"})]
html_favicon = "_static/icon.svg"
html_context = {"default_mode": "auto"}
html_copy_source = True

nb_execution_mode = "off"
nb_merge_streams = True
myst_heading_anchors = 3
autosummary_generate = True
autodoc_typehints = "none"
napoleon_use_rtype = False
napoleon_custom_sections = ["Source"]
copybutton_exclude = ".linenos, .gp"

VEGA_VERSION = "5.21"


def prepare(app, name, source):
    """Ready a notebook: what charts and figures are to a browser, and its links."""
    if app.env.doc2path(name).suffix != ".ipynb":
        return
    notebook = json.loads(source[0])
    heading = ""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            heading = [heading, *re.findall(r"(?m)^#+ (.+)", text)][-1]
            cell["source"] = re.sub(r"(?<=\.ipynb#)[^)]+|(?<=\]\(#)[^)]+", anchor, text)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if MIME_TYPE in data:
                chart = html.escape(json.dumps(data.pop(MIME_TYPE)))
                data["text/html"] = f'<div class="chart" data-chart="{chart}"></div>'
            if "image/png" in data:
                said = output["metadata"].get("image/png", {}).get("alt", heading)
                cell["metadata"]["mystnb"] = {"image": {"alt": said}}
    source[0] = json.dumps(notebook)


def anchor(found):
    """A heading's anchor as this site writes it, of the one that Jupyter does."""
    return re.sub(r"[^\w-]", "", found[0]).lower()


def write_vega(app):
    """The charts' library, and a line that draws every chart of a page with it."""
    import vl_convert

    bundle = vl_convert.javascript_bundle(vl_version=VEGA_VERSION)
    draw = """
for (const place of document.querySelectorAll("[data-chart]")) {
  const options = {actions: false, renderer: "svg"};
  window.vegaEmbed(place, JSON.parse(place.dataset.chart), options);
}
"""
    # Not a module: browsers load none for a page that is opened from a disk.
    script = f'(() => {{ "use strict";\n{bundle}\n{draw}}})();\n'
    folder = Path(app.outdir) / "_static"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vega.js").write_text(script, encoding="utf-8")


def add_vega(app, name, template, context, doctree):
    """Load the charts' library on a page that has a chart, after its text."""
    if doctree is not None and "data-chart" in context.get("body", ""):
        app.add_js_file("vega.js", loading_method="defer")


def setup(app):
    """What Sphinx calls."""
    app.connect("source-read", prepare)
    app.connect("builder-inited", write_vega)
    app.connect("html-page-context", add_vega)
