"""Sphinx's settings for the report; ``docs/report/build.py`` lays out its pages and calls it."""

import base64
import hashlib
import re
from pathlib import Path

import furo

from thesislib import __version__

project = "Deep representation learning for audio"
copyright = "the authors of thesislib, MIT licence"
version = release = __version__
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    # MathJax out of the environment, not from another host.
    "sphinx-mathjax-offline",
]

# The results are what `thesis run` made: nothing is executed again.
nb_execution_mode = "off"
# The scripts that bring ipywidgets to life would come from other hosts.
nb_ipywidgets_js = {}
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
nb_merge_streams = True
# Outputs in Markdown hold tables, as Jupyter renders them.
nb_render_markdown_format = "gfm"

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
# Attributes as a list: some are properties too, and would be described twice.
napoleon_use_ivar = True

html_theme = "furo"
html_title = project
html_static_path = ["report/static"]
html_favicon = "report/static/favicon.svg"
html_css_files = ["report.css"]
html_show_sourcelink = False
html_copy_source = False
# Summaries are fetched page by page, which a browser refuses for files on disk.
html_show_search_summary = False
html_theme_options = {
    # Blue and sky blue of the Okabe-Ito palette: told apart with any kind of colour vision.
    "light_css_variables": {
        "color-brand-primary": "#005b8f",
        "color-brand-content": "#005b8f",
        "color-brand-visited": "#7a3d66",
    },
    "dark_css_variables": {
        "color-brand-primary": "#56b4e9",
        "color-brand-content": "#56b4e9",
        "color-brand-visited": "#d9a2c4",
    },
}


def leave_out(app, what, name, obj, skip, options):
    """Leave out what scikit-learn adds to each estimator: ``set_fit_request`` and the like."""
    generated = name.startswith("set_") and name.endswith("_request")
    return True if generated else skip


#: What a page may load and run: files of the site, images and sounds in the page, no script in
#: its text except those of the theme and of this configuration.
POLICY = (
    "default-src 'none'; script-src 'self' {}; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "img-src 'self' data:; media-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'"
)


def forbid_scripts(app, pagename, templatename, context, doctree):
    """Add the Content-Security-Policy to a page; the text of a page plays no part in it."""
    theme = Path(furo.__file__).with_name("theme") / "furo" / "base.html"
    own = re.findall("<script>(.*?)</script>", theme.read_text(encoding="utf-8"), re.DOTALL)
    own += [script.attributes.get("body") for script in context["script_files"]]
    digests = [hashlib.sha256(text.encode()).digest() for text in own if text]
    sources = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY.format(sources)}">'
    context["metatags"] = policy + context.get("metatags", "")


def insert_no_files(app):
    """Switch off directives that put files of this computer into a page."""
    app.env.settings["file_insertion_enabled"] = False


def setup(app):
    """Register what autodoc leaves out, and what keeps foreign text harmless."""
    app.connect("autodoc-skip-member", leave_out)
    app.connect("builder-inited", insert_no_files)
    app.connect("html-page-context", forbid_scripts)
