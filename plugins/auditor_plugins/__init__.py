"""Plugins that ship with nas-auditor."""
