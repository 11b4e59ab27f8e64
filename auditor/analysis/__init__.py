"""Pure functions on arrays: one method a module."""
