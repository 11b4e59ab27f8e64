"""Tracking: the books as MLflow runs. A projection: it can be made again at any time, and is never the truth."""
