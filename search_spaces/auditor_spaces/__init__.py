"""Search spaces that ship with nas-auditor."""
