"""The pytest plugin's options. Without one of them nothing else is imported, and nothing is hooked."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("credwatch", "IAM permissions that the tests need")
    group.addoption(
        "--credwatch-policy",
        action="append",
        metavar="FILE",
        help="IAM policy document: fail, with the missing statement, where tests call what it denies. Repeatable.",
    )
    group.addoption(
        "--credwatch-record", metavar="FILE", help="write what the tests called, for `credwatch-agent report --record`"
    )
    group.addoption("--credwatch-role", metavar="ROLE", default="", help="the role that the record speaks of")
    group.addoption(
        "--credwatch-source",
        action="append",
        metavar="PATH",
        help="count only calls that code under this path makes, so that the tests' own set-up is left out. Repeatable.",
    )
    group.addoption(
        "--credwatch-match",
        choices=("resource", "action"),
        default="resource",
        help="compare resources too (account and region never), or actions alone; default: %(default)s",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("credwatch_policy") or config.getoption("credwatch_record"):
        from credwatch_agent.rehearsal.session import Rehearsal  # noqa: PLC0415 - inert without its options

        config.pluginmanager.register(Rehearsal(config), "credwatch-rehearsal")
