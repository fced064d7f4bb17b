"""Second sources: what AWS itself recorded of a role's use, beside what recorders report.

`cloudtrail` reads log files, `accessed` the answers of `GetServiceLastAccessedDetails`: both pure, from
bytes to records. `files` finds the bytes, in a folder or through an S3 client that is given. What they
mean for a grant is for `evidence` to say.
"""

from credwatch_agent.second.files import read

__all__ = ["read"]
