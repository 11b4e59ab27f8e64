"""The words of the auditor: values without behaviour, standard library only."""
