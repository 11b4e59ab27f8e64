"""Studies that ran elsewhere: from what an importer reads to a study folder and its record."""
