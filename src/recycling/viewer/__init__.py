"""One page for whatever the catalog holds: images, predictions, mistakes, experiments.

`holdings` looks things up and knows no page; `pages` has a file for each; `server` serves them.
"""
