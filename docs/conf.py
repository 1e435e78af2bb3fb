"""Configure Sphinx: `make docs` builds the site from this folder, without a network.

`site_extension.py` writes the reference and draws equations; `check_site.py` follows the links.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

project = "bptt"
author = "the authors of bptt"
html_title = "bptt"
html_theme = "furo"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["static"]
html_css_files = ["site.css"]

extensions = [
    "sphinx.ext.autodoc",
    "myst_nb",
    "docs.site_extension",
]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]
html_math_renderer = "mathml"
default_role = "py:obj"  # a name in one backtick in a docstring; a link where it is one of ours
smartquotes = False  # h' is a state
add_module_names = False
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
maximum_signature_line_length = 88

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 400
nb_merge_streams = True  # else a line that arrives in two pieces stands in two frames
nb_ipywidgets_js = {}  # it would load scripts from elsewhere
nb_mime_priority_overrides = [("html", "image/svg+xml", 0)]  # not the interactive page
