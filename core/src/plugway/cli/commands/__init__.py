"""One module per command; `command` in it is what click runs."""
