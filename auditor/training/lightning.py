"""Lightning, of whichever name the user imports it.

``pytorch_lightning`` and ``lightning.pytorch`` are two copies of one library; a callback of either works in a Trainer
of either, but importing the second beside the first costs seconds.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING or "pytorch_lightning" in sys.modules:
    from pytorch_lightning import Callback
else:
    try:
        from lightning.pytorch import Callback
    except ImportError:  # not there, or a file of the user's that is called so
        from pytorch_lightning import Callback

__all__ = ["Callback"]
