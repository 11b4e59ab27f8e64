"""Training: the audit callback, the count of floating-point operations, and running one training."""
