"""What several commands need to read their options."""

import argparse


def assignment(text):
    """``name=value`` with the value as YAML, so that lists and numbers can be given."""
    from thesislib.errors import ParameterError
    from thesislib.plain_values import parse_plain

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected name=value")
    try:
        # YAML reads 1e-3 as text, since it lacks the dot.
        return name.strip(), _as_number(parse_plain(value, where=name))
    except ParameterError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _as_number(value):
    if isinstance(value, list):
        return [_as_number(element) for element in value]
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def given_options(options):
    """Options of a command as arguments of a function."""
    return {k: v for k, v in vars(options).items() if k not in ("command", "action", "function")}


def add_cluster(command):
    """Add the option that names a Dask cluster."""
    command.add_argument(
        "--dask",
        metavar="ADDRESS|local",
        help="work on a Dask cluster: its scheduler's address, or processes of this machine",
    )
