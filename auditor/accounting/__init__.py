"""Pure accounting: readings and marks in, balanced entries out. No file, clock or environment is read here."""
