"""What the benches share: the description of the machine, and real boards with labels.

It is imported before the product and puts the repository first in ``sys.path``, so that
``import edge`` finds the package and not the script ``bench/edge.py``.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
