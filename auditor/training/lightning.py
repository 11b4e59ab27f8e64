"""Lightning, of whichever name the user imports it.

``pytorch_lightning`` and ``lightning.pytorch`` are two copies of one library; a callback of either works in a Trainer
of either, but importing the second beside the first costs seconds.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytorch_lightning import Callback
elif "pytorch_lightning" not in sys.modules and ("lightning.pytorch" in sys.modules or find_spec("lightning")):
    from lightning.pytorch import Callback
else:
    from pytorch_lightning import Callback

__all__ = ["Callback"]
