"""Importers of studies that ran elsewhere."""
