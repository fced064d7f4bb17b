"""What the help of each command ends with: its exit codes and commands to copy. A test runs the examples.

The examples share their files: `telemetry.db` is what `serve` keeps, `account.json` what `snapshot` wrote.
"""

from __future__ import annotations

from typing import NamedTuple

CODES = "0 clean, 1 findings, 2 usage, 3 could not know; 130 interrupted, 141 the reader of a pipe has gone"
"""What the exit codes of all commands mean."""

_STORE = "--db telemetry.db --snapshot account.json"


class Page(NamedTuple):
    """A command's exit codes, in words, and its examples: shell commands, of which `\\` joins lines."""

    codes: str
    examples: tuple[str, ...]

    def epilog(self) -> str:
        r"""Return it for `--help`; `\b` keeps lines as they are."""
        commands = "\n".join(f"  {line}" for each in self.examples for line in each.splitlines())
        return f"Exit codes: {self.codes}.\n\n\b\nExamples:\n{commands}"


PAGES: dict[str, Page] = {
    "serve": Page(
        "0 stopped by SIGTERM or Ctrl-C, 2 a setting is wrong, 3 a port or the store cannot be had",
        (
            "credwatch-agent serve --db telemetry.db",
            "credwatch-agent serve --db telemetry.db --snapshot account.json \\\n  --grpc-port off --log-format json",
            "credwatch-agent serve --config agent.toml",
        ),
    ),
    "snapshot": Page(
        "0 all was read, 2 usage, 3 something could not be read and is missing in the file",
        (
            "credwatch-agent snapshot --out account.json",
            "credwatch-agent snapshot --out account.json --region eu-west-1 --json",
            "credwatch-agent snapshot --out account.json \\\n  --authorization-details details.json",
        ),
    ),
    "report": Page(
        "0 clean, 1 findings, 2 usage, 3 something could not be known",
        (
            f"credwatch-agent report {_STORE}",
            f"credwatch-agent report {_STORE} \\\n  --window 30 --statements",
            f"credwatch-agent report {_STORE} \\\n  --format sarif --output credwatch.sarif",
        ),
    ),
    "baseline": Page(
        "0 adopted, 2 usage, 3 something could not be known, or nothing reported",
        (
            f"credwatch-agent baseline {_STORE}",
            f"credwatch-agent baseline {_STORE} --clear",
        ),
    ),
    "simulate": Page(
        "0 each line was answered, 2 a line is wrong",
        (
            "credwatch-agent simulate requests.jsonl",
            "credwatch-agent simulate < requests.jsonl",
        ),
    ),
    "recommend": Page(
        "0 nothing to change, 1 something to change, 2 usage, 3 not proved",
        (
            f"credwatch-agent recommend orders {_STORE}",
            f"credwatch-agent recommend orders \\\n  {_STORE} --format terraform > orders.tf",
            f"credwatch-agent recommend orders \\\n  {_STORE} --cloudtrail trail --window 30",
        ),
    ),
    "explain": Page(
        "0 allowed, 1 denied, 2 usage, 3 it hangs on what is not known",
        (
            "credwatch-agent explain orders s3:GetObject \\\n  arn:aws:s3:::example/a.pdf --snapshot account.json",
            (
                "credwatch-agent explain orders s3:PutObject \\\n"
                "  arn:aws:s3:::example/a.pdf --snapshot account.json \\\n"
                "  --context aws:SecureTransport=true --json"
            ),
        ),
    ),
    "diff": Page(
        "0 the same, 1 not the same, 2 usage, 3 not proved",
        (
            "credwatch-agent diff old.json new.json",
            "credwatch-agent diff old.json new.json --json",
        ),
    ),
    "policy-check": Page(
        "0 it grants nothing new and keeps each observed call, 1 it does not, 2 usage, 3 not proved",
        (
            f"credwatch-agent policy-check old.json new.json --role orders \\\n  {_STORE}",
            f"credwatch-agent policy-check old.json new.json --role orders \\\n  {_STORE} --json",
        ),
    ),
    "watch": Page(
        "0 it broke no call, 1 it broke some, 2 usage, 3 nothing reported, or something unreadable",
        (
            "credwatch-agent watch orders --db telemetry.db \\\n  --before before.json --snapshot account.json",
            (
                "credwatch-agent watch orders --db telemetry.db \\\n"
                "  --before before.json --snapshot account.json \\\n"
                "  --since 2026-01-31T08:00:00Z --json"
            ),
        ),
    ),
    "actions": Page(
        "0 the map knows the call, 2 usage, 3 it does not",
        (
            "credwatch-agent actions s3:PutObject --param Bucket=photos --param Key=a",
            (
                "credwatch-agent actions dynamodb:GetItem --param TableName=orders \\\n"
                "  --region eu-west-1 --account 123456789012 --json"
            ),
            "credwatch-agent actions --jsonl < calls.jsonl",
        ),
    ),
    "operations": Page(
        "0 also where no operation shows the action: that is an answer too; 2 no such action",
        (
            "credwatch-agent operations iam:PassRole",
            "credwatch-agent operations s3:GetObject --json",
        ),
    ),
    "export": Page(
        "0 written, 2 usage, 3 the store cannot be read",
        (
            "credwatch-agent export --db telemetry.db > all.jsonl",
            "credwatch-agent export --db telemetry.db --quiet | gzip > all.jsonl.gz",
        ),
    ),
    "import": Page(
        "0 put, 2 the file is none that `export` wrote, 3 the store cannot be written",
        (
            "credwatch-agent import --db other.db all.jsonl",
            "credwatch-agent import --db other.db all.jsonl --quiet",
        ),
    ),
    "token": Page(
        "0 made, 2 usage",
        (
            "credwatch-agent token collector >> tokens.toml",
            "credwatch-agent token ann --role read --days 90 >> tokens.toml",
        ),
    ),
    "completion": Page(
        "0 printed, 2 no such shell",
        (
            'eval "$(credwatch-agent completion bash)"',
            "credwatch-agent completion zsh > _credwatch-agent",
            "credwatch-agent completion fish > credwatch-agent.fish",
        ),
    ),
    "config": Page("those of its commands", ("credwatch-agent config check --config agent.toml",)),
    "config check": Page(
        "0 `serve` can be started so, 2 it would refuse",
        (
            "credwatch-agent config check --config agent.toml",
            "credwatch-agent config check --config agent.toml --json",
        ),
    ),
}
"""A page for each command, in the order of the list of commands."""
