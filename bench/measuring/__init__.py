"""What the benches share: the machine in words, and real boards with their truth.

Imported before the product: the script ``edge.py`` beside it must not be taken for the
package ``edge``.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
