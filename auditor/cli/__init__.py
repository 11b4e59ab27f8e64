"""The command line: the only room that prints. Heavy libraries are imported inside the commands."""
