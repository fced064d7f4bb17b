"""One request, and the names by which answers speak of statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from credwatch_agent.iam.context import Context, Every, Scalar
from credwatch_agent.iam.principal import names


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Empty `resource_account`: that of the ARN, else the principal's own.

    `resource` is an ARN, or `*` for an action without one. With `partial`, each `*` in it stands for
    something not known and each `?` for one character, as a secret's name lacks its last six. `context`
    maps keys to values; a key that is not there is absent from the request, unless `unknown_keys` names
    it or is EVERY_OTHER.
    """

    action: str
    resource: str = "*"
    principal: str = ""
    resource_account: str = ""
    context: Mapping[str, Scalar | Sequence[Scalar]] = field(default_factory=dict)
    unknown_keys: frozenset[str] | Every = frozenset()
    partial: bool = False
    service: str = field(init=False, repr=False, compare=False)
    keys: Context = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "service", self.action.partition(":")[0].lower())
        object.__setattr__(self, "keys", Context(self.context, self.unknown_keys))

    @property
    def crosses_accounts(self) -> bool:
        """Principal and resource are known to be of different accounts."""
        mine = names(self.principal).account
        if not mine:
            return False
        parts = self.resource.split(":", 5)
        theirs = self.resource_account or (parts[4] if len(parts) == 6 else "")
        return theirs.isdigit() and mine != theirs

    @property
    def needs_resource_policy(self) -> bool:
        """A role's trust policy or a KMS key's policy: it must allow by itself."""
        if self.service == "sts":
            return self.action.lower().startswith("sts:assumerole") and ":role/" in self.resource
        return self.service == "kms" and ":key/" in self.resource


@dataclass(frozen=True, slots=True, order=True)
class StatementRef:
    """Where a statement stands. `layer` is `identity`, `boundary`, `session`, `scp`, `rcp` or `resource`."""

    policy: str
    index: int
    sid: str
    layer: str
