"""Books and trials in, statement out: pure, no file, no clock, no environment."""
