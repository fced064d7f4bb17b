"""What AWS says is granted, and where it runs: IAM, ECS and EC2 state at one moment.

`model` holds the records, `codec` their file, `index` the joins; `live` reads the APIs and `files`
the output of the AWS CLI. A layer that could not be read is recorded as missing, never as empty.
No telemetry and no verdict enter here.
"""

from credwatch_agent.snapshot.codec import SnapshotError, dumps, load, loads, save
from credwatch_agent.snapshot.files import read_files
from credwatch_agent.snapshot.index import Index
from credwatch_agent.snapshot.live import read_live
from credwatch_agent.snapshot.model import (
    AccessKey,
    Association,
    Container,
    ContainerInstance,
    Instance,
    InstanceProfile,
    Missing,
    Policy,
    Role,
    Snapshot,
    Task,
    TaskDefinition,
)

__all__ = [
    "AccessKey",
    "Association",
    "Container",
    "ContainerInstance",
    "Index",
    "Instance",
    "InstanceProfile",
    "Missing",
    "Policy",
    "Role",
    "Snapshot",
    "SnapshotError",
    "Task",
    "TaskDefinition",
    "dumps",
    "load",
    "loads",
    "read_files",
    "read_live",
    "save",
]
