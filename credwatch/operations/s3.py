"""S3's resources: names, ARNs and aliases of buckets and access points, keys cut to the detail.

A bucket parameter may hold six kinds of things, three of which are authorised by another service;
a copy's source hides bucket, key and version in one text. No template says that.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from credwatch.operations.naming import Action, Derivation, Named, Place, Shape, anywhere, reads, text


def _bucket(value: object, place: Place) -> tuple[str, str, bool]:
    """Return the ARN of a bucket or access point, what joins a key to it, and whether it is known."""
    name = text(value)
    if not name:
        return f"arn:{place[0]}:s3:::*", "/", False
    if name[:4] == "arn:":
        return _access_point(name, place)
    if name[-3:] == "-s3":
        return _directory(name, place)
    if name[-8:] == "-s3alias":
        # the alias names neither the access point nor its account
        return f"arn:{place[0]}:s3:{place[1]}:*:accesspoint/*", "/object/", False
    if name[-5:] == ".mrap":
        return f"arn:{place[0]}:s3::{place[2]}:accesspoint/{name}", "/object/", True
    return f"arn:{place[0]}:s3:::{name}", "/", True


_SLASHED = ("s3", "s3-object-lambda", "s3-outposts", "s3express")


def _access_point(arn: str, place: Place) -> tuple[str, str, bool]:
    parts = arn.split(":", 5)
    if len(parts) == 6 and parts[2] in _SLASHED:
        resource = parts[5].replace(":", "/")
        if resource.startswith("outpost/") and resource.count("/") == 1:
            # a copy's source names the outpost and the key, and not the bucket
            return ":".join((*parts[:5], f"{resource}/*/*")), "/object/", False
        if resource.startswith(("accesspoint/", "outpost/")) or (parts[2] == "s3express" and resource[:7] == "bucket/"):
            return ":".join((*parts[:5], resource)), "/object/", True
        if parts[2] == "s3" and not parts[3] and not parts[4] and resource:
            return arn, "/", True
    return f"arn:{place[0]}:s3:::*", "/", False


def _directory(name: str, place: Place) -> tuple[str, str, bool]:
    if name[-7:] == "--ol-s3":
        return f"arn:{place[0]}:s3-object-lambda:{place[1]}:*:accesspoint/*", "/object/", False
    if name[-7:] == "--xa-s3":
        return f"arn:{place[0]}:s3express:{place[1]}:{place[2]}:accesspoint/{name}", "/object/", True
    if name[-6:] == "--x-s3":
        return f"arn:{place[0]}:s3express:{place[1]}:{place[2]}:bucket/{name}", "/object/", True
    if name[-7:] == "--op-s3":
        # the alias names neither the outpost nor the account
        return f"arn:{place[0]}:s3-outposts:{place[1]}:*:outpost/*/accesspoint/*", "/object/", False
    return f"arn:{place[0]}:s3:::{name}", "/", True


def _key(key: object, detail: str) -> str:
    if detail == "container":
        return "*"
    name = text(key)
    if not name:
        return "*"
    if detail == "full":
        return name
    first, slash, _ = name.partition("/")
    return f"{first}/*" if slash else "*"


@reads("Bucket")
def s3_bucket(params: Mapping[str, object], place: Place) -> Named:
    """Bucket: a name, an access-point ARN or an alias, each with an ARN of its own kind."""
    arn, _, known = _bucket(params.get("Bucket"), place)
    return (arn,), known


@reads("Bucket", finer=True)
def s3_object(params: Mapping[str, object], place: Place) -> Named:
    """Object: the bucket's ARN, joined to the key as that kind of bucket does, cut to the detail."""
    arn, joint, known = _bucket(params.get("Bucket"), place)
    if place[3] == "container":
        return (f"{arn}{joint}*",), known
    return (f"{arn}{joint}{_key(params.get('Key'), place[3])}",), known


def _source(params: Mapping[str, object]) -> tuple[str, str, bool]:
    """Return bucket, key and whether a version is named of CopySource: text, ARN or dict."""
    source = params.get("CopySource")
    if isinstance(source, dict):
        return text(source.get("Bucket")), text(source.get("Key")), source.get("VersionId") is not None
    path, versioned, _ = text(source).partition("?versionId=")
    path = unquote(path).removeprefix("/")
    if path[:4] == "arn:":
        bucket, _, key = path.partition("/object/")
    else:
        bucket, _, key = path.partition("/")
    return bucket, key, bool(versioned)


def s3_source(params: Mapping[str, object], place: Place) -> Named:
    """Source of a copy: bucket and key in one parameter, URL-encoded or in a dict."""
    bucket, key, _ = _source(params)
    return s3_object({"Bucket": bucket, "Key": key}, place)


@reads("CopySource")
def s3_source_version(params: Mapping[str, object]) -> bool:
    """Source version: it hides in CopySource's query."""
    return _source(params)[2]


@reads("CopySource")
def s3_source_is_directory(params: Mapping[str, object]) -> bool:
    """Source in a directory bucket: it is read with a session, not with `s3:GetObject`."""
    return s3_variant({"Bucket": _source(params)[0]}) == "express"


@reads("CopySource")
def s3_source_is_on_outposts(params: Mapping[str, object]) -> bool:
    """Source on an Outpost: it is read with that service's action."""
    return s3_variant({"Bucket": _source(params)[0]}) == "outposts"


def s3_source_directory(params: Mapping[str, object], place: Place) -> Named:
    """The directory bucket that a copy reads from."""
    return s3_directory({"Bucket": _source(params)[0]}, place)


@reads("Bucket")
def s3_object_lambda(params: Mapping[str, object], place: Place) -> Named:
    """Object Lambda: the access point itself is the resource, keys are not."""
    arn, _, known = _bucket(params.get("Bucket"), place)
    if ":s3-object-lambda:" not in arn:
        return (f"arn:{place[0]}:s3-object-lambda:{place[1]}:{place[2]}:accesspoint/*",), False
    return (arn,), known


@reads("Bucket")
def s3_directory(params: Mapping[str, object], place: Place) -> Named:
    """Directory bucket or its access point; other names stay unknown."""
    arn, _, known = _bucket(params.get("Bucket"), place)
    if ":s3express:" not in arn:
        return (f"arn:{place[0]}:s3express:{place[1]}:{place[2]}:bucket/*",), False
    return (arn,), known


@reads()
def s3_table(params: Mapping[str, object], place: Place) -> Named:
    """S3 Tables: the bucket that keeps one table's data, by a name of AWS's that tells neither table nor owner."""
    return (f"arn:{place[0]}:s3tables:{place[1]}:*:bucket/*/table/*",), False


@reads("Bucket")
def s3_variant(params: Mapping[str, object]) -> str:
    """S3's look-alikes: the same operations, authorised by another service's actions."""
    value = params.get("Bucket")
    name = value if type(value) is str else text(value)
    if name[-3:] == "-s3":
        return _VARIANT_AT.get(name.rpartition("--")[2], "")
    if name[:4] == "arn:":
        return _VARIANT_OF.get(_service(name), "")
    return ""


@reads("Name", "Bucket")
def s3_on_outposts(params: Mapping[str, object]) -> bool:
    """S3 Control on Outposts: access point and bucket are given by their ARNs, which name the service."""
    return any(_service(text(params.get(name))) == "s3-outposts" for name in ("Name", "Bucket"))


@reads("Name", "ResourceArn")
def s3_in_directory(params: Mapping[str, object]) -> bool:
    """S3 Control on a directory bucket: an access point's name ends so, what is tagged names the service."""
    name, tagged = text(params.get("Name")), text(params.get("ResourceArn"))
    return name.endswith("--xa-s3") or "s3express" in (_service(name), _service(tagged))


def _service(arn: str) -> str:
    return arn.split(":", 3)[2] if arn[:4] == "arn:" and arn.count(":") > 2 else ""


@reads("indexArn", "indexName", "vectorBucketArn", "vectorBucketName")
def s3vectors_index(params: Mapping[str, object], place: Place) -> Named:
    """Vector index: an ARN, or a name in a bucket, which is a name or an ARN itself, of another account even."""
    index = text(params.get("indexArn"))
    if _service(index) == "s3vectors" and "/index/" in index:
        return (index,), True
    bucket, name = text(params.get("vectorBucketArn")), text(params.get("indexName")) or "*"
    if _service(bucket) != "s3vectors":
        named = text(params.get("vectorBucketName")) or "*"
        there = anywhere(place) if index or bucket else place  # an ARN of another kind tells nothing
        bucket = f"arn:{there[0]}:s3vectors:{there[1]}:{there[2]}:bucket/{named}"
    return (f"{bucket}/index/{name}",), name != "*" and bucket[-2:] != "/*"


_VARIANT_AT = {
    "x-s3": "express", "xa-s3": "express", "ol-s3": "object-lambda", "op-s3": "outposts", "table-s3": "tables",
}  # fmt: skip
_VARIANT_OF = {"s3express": "express", "s3-object-lambda": "object-lambda", "s3-outposts": "outposts"}


def s3_delete_objects(params: Mapping[str, object]) -> Derivation:
    """DeleteObjects: each entry is checked for itself, with or without a version."""
    delete = params.get("Delete")
    entries = delete.get("Objects") if isinstance(delete, dict) else None
    listed = [e for e in entries[:1000] if isinstance(e, dict)] if isinstance(entries, (list, tuple)) else []
    versioned = [e for e in listed if e.get("VersionId") is not None]
    latest = [e for e in listed if e.get("VersionId") is None]
    facets = []
    plan: list[Action] = []
    if params.get("BypassGovernanceRetention") is True:
        facets.append(("bypass", "yes"))
        plan.append(("s3:BypassGovernanceRetention", (_objects(listed),)))
    if latest or not versioned:
        facets.append(("latest", "yes"))
        plan.append(("s3:DeleteObject", (_objects(latest),)))
    if versioned:
        facets.append(("version", "yes"))
        plan.append(("s3:DeleteObjectVersion", (_objects(versioned),)))
    return tuple(facets), tuple(plan)


def _objects(entries: list[dict[str, object]]) -> Shape:
    def shape(params: Mapping[str, object], place: Place) -> Named:
        if place[3] in {"container", "service"} or not entries:
            return s3_object(params, place)
        bucket = params.get("Bucket")
        named = [s3_object({"Bucket": bucket, "Key": entry.get("Key")}, place) for entry in entries]
        return tuple(sorted({arn for arns, _ in named for arn in arns})), all(known for _, known in named)

    return shape


DELETE_OBJECTS: Mapping[str, tuple[str, Shape]] = {
    "bypass": ("s3:BypassGovernanceRetention", s3_object),
    "latest": ("s3:DeleteObject", s3_object),
    "version": ("s3:DeleteObjectVersion", s3_object),
}
