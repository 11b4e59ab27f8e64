"""Callbacks for libraries that run searches of their own."""
