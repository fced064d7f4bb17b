"""The operation map: from an SDK call to the IAM actions and resources it is checked for.

`resolve` is the one entrance. It knows the names of services, operations and parameters, and
nothing of credentials. Contract in `docs/operations.md`.
"""
