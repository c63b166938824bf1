"""The verbs of `midas`, a module each, hence their number: `parser` states its flags, `run` does it."""
