"""Where each drum is hit in a mix."""
