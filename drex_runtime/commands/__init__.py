"""One file per `drex` command."""
