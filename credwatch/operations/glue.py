"""Resources of Glue: its Data Catalog, in which each check is made on all ancestors too, and its schema registry.

As in `resources`, each function takes whatever the caller passed, never raises, and says in its docstring
why it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping

from credwatch.operations.naming import MOST, Named, Place, is_account, reads, several, text, texts

# --- Glue's catalog -----------------------------------------------------------------------------


_CATALOGS = ("CatalogId", "CatalogID")


def _glue(params: Mapping[str, object], place: Place) -> tuple[str, str]:
    """Return the start of a catalog resource's ARN and the path of the catalog below the account's own.

    An id is an account, the path of a catalog (`s3tablescatalog/bucket`), or both with a colon.
    """
    catalog = text(params.get(_CATALOGS[0])) or text(params.get(_CATALOGS[1]))
    account, colon, path = catalog.partition(":")
    if not colon and not is_account(account):
        account, path = place[2], catalog
    elif not is_account(account):
        account, path = "*", "*"
    return f"arn:{place[0]}:glue:{place[1]}:{account}:", path


def _under(path: str, name: str) -> str:
    if path == "*":
        return "*"
    return f"{path}/{name}" if path else name


def _named(params: Mapping[str, object], names: tuple[str, ...], inputs: str) -> str:
    for name in names:
        if value := text(params.get(name)):
            return value
    return _member(params, inputs, "Name")


def _member(params: Mapping[str, object], name: str, member: str) -> str:
    nested = params.get(name)
    return text(nested.get(member)) if isinstance(nested, dict) else ""


@reads(*_CATALOGS)
def glue_root(params: Mapping[str, object], place: Place) -> Named:
    """Root catalog of an account: the caller's own, or that in CatalogId; each catalog action is checked on it."""
    base, path = _glue(params, place)
    return (f"{base}catalog",), path != "*"


@reads(*_CATALOGS)
def glue_catalog(params: Mapping[str, object], place: Place) -> Named:
    """Catalog with its ancestors up to the root, each of which is checked."""
    base, path = _glue(params, place)
    names = path.split("/") if path else []
    below = [f"{base}catalog/{'/'.join(names[: depth + 1])}" for depth in range(len(names))]
    return tuple(sorted((f"{base}catalog", *below))), path != "*"


@reads(*_CATALOGS, "DatabaseName", "DatabaseInput", "TableName", "Name")
def glue_database(params: Mapping[str, object], place: Place) -> Named:
    """Database of a catalog operation: a parameter, or the name inside DatabaseInput."""
    base, path = _glue(params, place)
    name = _named(params, ("DatabaseName",), "DatabaseInput") or ("" if "TableName" in params else _plain(params))
    return (f"{base}database/{_under(path, name or '*')}",), bool(name) and path != "*"


def _plain(params: Mapping[str, object]) -> str:
    return text(params.get("Name"))


@reads(*_CATALOGS, "DatabaseName", "TableName", "TablesToDelete", "Name", "TableInput")
def glue_table(params: Mapping[str, object], place: Place) -> Named:
    """Table of a catalog operation: one name, several, or that inside TableInput, under its database."""
    base, path = _glue(params, place)
    base += f"table/{_under(path, text(params.get('DatabaseName')) or '*')}/"
    names = texts(params, "TableName", "TablesToDelete") or [_named(params, ("Name",), "TableInput")]
    return several((base + (name or "*"), bool(name) and path != "*") for name in names)


@reads(*_CATALOGS, "DatabaseName", "FunctionName", "FunctionInput")
def glue_function(params: Mapping[str, object], place: Place) -> Named:
    """User-defined function of a catalog operation, under its database."""
    base, path = _glue(params, place)
    name = text(params.get("FunctionName")) or _member(params, "FunctionInput", "FunctionName")
    database = _under(path, text(params.get("DatabaseName")) or "*")
    return (f"{base}userDefinedFunction/{database}/{name or '*'}",), bool(name) and path != "*"


@reads(*_CATALOGS, "Name", "ConnectionName", "ConnectionNameList", "ConnectionInput")
def glue_connection(params: Mapping[str, object], place: Place) -> Named:
    """Connections: one name, several, or that inside ConnectionInput, in the account of the catalog."""
    base, path = _glue(params, place)
    names = texts(params, "ConnectionName", "ConnectionNameList") or [_named(params, ("Name",), "ConnectionInput")]
    return several((f"{base}connection/{name or '*'}", bool(name) and path != "*") for name in names)


@reads(*_CATALOGS, "Name")
def glue_contents(params: Mapping[str, object], place: Place) -> Named:
    """Tables and functions of a database that is deleted with all that it holds."""
    base, path = _glue(params, place)
    name = _under(path, _plain(params) or "*")
    return (f"{base}table/{name}/*", f"{base}userDefinedFunction/{name}/*"), bool(_plain(params)) and path != "*"


@reads("Entries")
def glue_optimized(params: Mapping[str, object], place: Place) -> Named:
    """Tables of a batch, each entry with its own catalog and database, which are checked with it."""
    listed = params.get("Entries")
    given = [e for e in listed[:MOST] if isinstance(e, dict)] if isinstance(listed, (list, tuple)) else []
    entries = [
        {"CatalogId": e.get("catalogId"), "DatabaseName": e.get("databaseName"), "TableName": e.get("tableName")}
        for e in given or [{}]
    ]
    named = [shape(entry, place) for entry in entries for shape in (glue_root, glue_database, glue_table)]
    return tuple(sorted({arn for arns, _ in named for arn in arns})), all(known for _, known in named)


# --- Glue's schema registry ---------------------------------------------------------------------


def _schema(params: Mapping[str, object], place: Place) -> tuple[str, str, str]:
    """Return the start of a schema's ARN, its registry and its name, "" where the request does not tell."""
    base = f"arn:{place[0]}:glue:{place[1]}:{place[2]}:"
    if arn := _member(params, "SchemaId", "SchemaArn") or _member(params, "RegistryId", "RegistryArn"):
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[2] != "glue":
            return f"arn:{place[0]}:glue:*:*:", "", ""
        base = ":".join(parts[:5]) + ":"
        kind, _, path = parts[5].partition("/")
        registry, _, name = path.partition("/")
        return base, registry, name if kind == "schema" else text(params.get("SchemaName"))
    if new := text(params.get("SchemaName")):
        return base, _member(params, "RegistryId", "RegistryName") or "default-registry*", new
    return base, _member(params, "SchemaId", "RegistryName"), _member(params, "SchemaId", "SchemaName")


@reads("SchemaId", "RegistryId", "SchemaName")
def glue_registry(params: Mapping[str, object], place: Place) -> Named:
    """Registry of a schema; a new schema that names none is in the default one, whose ARN ends in letters."""
    base, registry, _ = _schema(params, place)
    return (f"{base}registry/{registry or '*'}",), bool(registry)


@reads("SchemaId", "RegistryId", "SchemaName")
def glue_schema(params: Mapping[str, object], place: Place) -> Named:
    """Schema: its ARN, or its name, which follows its registry's in the ARN."""
    base, registry, name = _schema(params, place)
    return (f"{base}schema/{registry or '*'}/{name or '*'}",), bool(registry and name)


SHAPES = (
    glue_catalog, glue_connection, glue_contents, glue_database, glue_function, glue_optimized, glue_registry,
    glue_root, glue_schema, glue_table,
)  # fmt: skip
