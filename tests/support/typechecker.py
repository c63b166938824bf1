"""What checks annotations at run time in the tests; an int is a float here, as it is for mypy."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
