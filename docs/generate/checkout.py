"""The checkout that the site is made of; what is imported after this comes from it, whether or not it is installed."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
