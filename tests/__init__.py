"""Test the packages, a folder each, and what is around them; `README.md` says how to run them."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
