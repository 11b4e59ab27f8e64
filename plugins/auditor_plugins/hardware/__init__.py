"""Power of devices, for energy worked out from durations."""
