"""One module per kind of package that sounds come from."""
