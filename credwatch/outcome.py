"""What an answer says about authorisation: status, error code and message -> outcome.

Pure. Error codes are those of the services' API references ("Common Errors"); what no row says is
`answered`, which keeps a grant and proves nothing.
"""

import re
from typing import NamedTuple

_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AccessDeniedFault",
        "AuthorizationError",
        "AuthorizationErrorException",
        "Client.UnauthorizedOperation",
        "Forbidden",
        "ForbiddenException",
        "KMSAccessDeniedException",
        "UnauthorizedOperation",
        "403",  # what botocore makes of the empty body of a HEAD
    }
)
_AUTH_FAILED = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)
_FAILED = frozenset(
    {
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
        "Throttling",
        "ThrottledException",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_OBJECT_READS = frozenset({("s3", "GetObject"), ("s3", "GetObjectAttributes"), ("s3", "HeadObject")})

# User: <arn> is not authorized to perform: <action> on resource: <arn> because no <type> policy allows ...
# ... with an explicit deny in a <type> policy  (IAM user guide, "Troubleshoot access denied error messages")
# texts, compiled when the first denial comes: most processes see none
_MESSAGE = r"not authorized to perform:? ([A-Za-z0-9-]{1,64}):([A-Za-z0-9*]{1,128})(?: on resource:? \"?([^\s\"]+))?"
# a closed list: a message is text that others write
_LAYER = (
    r"(?:no|explicit deny in an?) (?:(identity-based|resource-based|session|service control|resource control|"
    r"VPC endpoint) polic(?:y|ies)|(permissions boundary))"
)


class Outcome(NamedTuple):
    """The outcome, and for a denial what its message names: layer, IAM action, resource ARN."""

    name: str
    layer: str = ""
    action: str = ""
    resource: str = ""


ALLOWED = Outcome("allowed")
ABSENT = Outcome("allowed")
"""Counts as `ALLOWED` and is told from it by identity: S3 says that an object is missing only to who may list."""
FAILED = Outcome("failed")
SIGNED = Outcome("signed")
ABANDONED = Outcome("abandoned")


def classify(service: str, operation: str, status: int, code: str, message: str) -> Outcome:
    """Return the outcome of an answered call. `code` and `message` are empty where it succeeded."""
    # EC2's dry run: "would have succeeded". 304 is given only where the request without its condition would succeed
    # (RFC 9110, 13.2.1)
    if (status < 400 and not code) or code == "DryRunOperation" or status == 304:
        return ALLOWED
    if status == 404 and (service, operation) in _OBJECT_READS and code != "NoSuchBucket":
        return ABSENT
    if code in _DENIED:
        return _denial((service, operation) in _OBJECT_READS, message)
    if code in _AUTH_FAILED:
        return Outcome("auth-failed")
    if status >= 500 or status == 429 or code in _FAILED:
        return FAILED
    return Outcome("answered")


def _denial(object_read: bool, message: str) -> Outcome:
    named = re.search(_MESSAGE, message)
    if named is None:
        # without s3:ListBucket, S3 answers 403 for an object that does not exist
        return Outcome("denied-or-missing" if object_read else "denied")
    layer = re.search(_LAYER, message)
    # SNS and others write their prefix in capitals; IAM does not tell them apart
    action = f"{named[1].lower()}:{named[2]}"
    return Outcome("denied", (layer[1] or layer[2]) if layer else "", action, _arn(named[3]))


def _arn(text: str | None) -> str:
    return text.rstrip(".,") if text and text.startswith("arn:") else ""
