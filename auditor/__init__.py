"""What a search cost, and whether it was worth it."""
