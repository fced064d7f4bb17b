"""The table of views: an address, what it can be asked, what it answers, how it looks. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from credwatch_agent.web import calls, findings, overview, role, roles, workload, workloads
from credwatch_agent.web.asking import Asked, Parameter
from credwatch_agent.web.state import Moment


@dataclass(frozen=True, slots=True)
class View:
    """A row: `answer` is the record that `ask` returns; `nav` is the entry of the navigation that is current."""

    path: str
    template: str
    nav: str
    summary: str
    answer: type
    ask: Callable[[Moment, Asked, calls.Traces], Any]
    parameters: tuple[Parameter, ...] = ()

    @property
    def api(self) -> str:
        return "/api/overview" if self.path == "/" else f"/api{self.path}"


VIEWS: tuple[View, ...] = (
    View("/", "overview.html", "/", "Everything at a glance", overview.Overview,
         lambda now, asked, _: overview.overview(now, asked)),
    View("/roles", "roles.html", "/roles", "Roles, the riskiest first", roles.Roles,
         lambda now, asked, _: roles.roles(now, asked), roles.PARAMETERS),
    View("/role", "role.html", "/roles", "One role: granted and used, who may and who did", role.Role,
         lambda now, asked, _: role.role(now, asked), role.PARAMETERS),
    View("/workloads", "workloads.html", "/workloads", "Who signs with what", workloads.Workloads,
         lambda now, asked, _: workloads.workloads(now, asked), workloads.PARAMETERS),
    View("/workload", "workload.html", "/workloads", "One workload: chains, calls and blast radius",
         workload.WorkloadAnswer, workload.workload, workload.PARAMETERS),
    View("/findings", "findings.html", "/findings", "Findings, the worst first", findings.Findings,
         lambda now, asked, _: findings.findings(now, asked), findings.PARAMETERS),
    View("/finding", "finding.html", "/findings", "One finding: evidence, fix, exemption", findings.One,
         lambda now, asked, _: findings.finding(now, asked), findings.ONE),
    View("/calls", "calls.html", "/calls", "Calls: statement, workload, line of code, trace", calls.Calls,
         calls.calls, calls.PARAMETERS),
)  # fmt: skip

NAVIGATION = (
    ("/", "Overview"),
    ("/roles", "Roles"),
    ("/workloads", "Workloads"),
    ("/findings", "Findings"),
    ("/calls", "Calls"),
)
