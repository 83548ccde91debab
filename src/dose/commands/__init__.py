"""The `dose` subcommands, one module per room; each offers `register(subparsers)`."""
