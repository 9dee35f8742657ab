"""Data Docs: what the contracts said, as pages people read. What belongs: HTML from results.

What does not: judging, and serving the pages.

Great Expectations renders each table's page. Its templates fetch styles, scripts, fonts and
pictures from half a dozen hosts; here those are taken out and a small style sheet of our own
stands in, so a page works without a network and tells nobody that it was opened. On top of GX's
table come the findings in words, the next steps and the quarantine. `index.html` lists the tables.

A page whose findings did not change is left as it is; `manifest.json` remembers what each shows.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import html
import json
import os
import re
import warnings
from collections.abc import Collection, Iterable
from datetime import UTC
from pathlib import Path
from typing import Any

from data_contracts.checks import plan_checks
from data_contracts.validator import CheckResult, ContractResult, Outcome, fingerprint

_MANIFEST = "manifest.json"
_SCRIPTS = re.compile(r"<script\b.*?</script>", re.DOTALL)
_LINKS = re.compile(r"<link\b[^>]*>")
_PICTURES = re.compile(r"<img\b[^>]*>", re.DOTALL)
_FOOTERS = re.compile(r"<footer\b.*?</footer>", re.DOTALL)
_COMMENTS = re.compile(r"<!--.*?-->", re.DOTALL)
_GX_STYLES = re.compile(r"<style\b.*?</style>", re.DOTALL)
_HOME = re.compile(r'href="(?:\.\./)+index\.html"')
_SUITE = re.compile(r'<a href="[^"]*expectations/[^"]*"\s*>([^<]*)</a>')
_ASSET = re.compile(r"<br>\s*Data asset: None")

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0; color: CanvasText; background: Canvas; }
a { color: LinkText; }
nav.navbar { height: auto !important; padding: .6rem 2rem; border-bottom: 1px solid var(--line); }
nav ol, nav ul { list-style: none; margin: 0; padding: 0; }
nav ol.breadcrumb { display: flex; gap: .6rem; }
nav ol.breadcrumb li + li::before { content: "/ "; opacity: .5; }
.d-flex { display: flex; gap: 1rem; align-items: center; }
.navbar-brand a { font-weight: 600; text-decoration: none; }
.container-fluid { padding: 0 2rem; }
.container-fluid > .row { display: flex; gap: 2rem; align-items: flex-start; }
.container-fluid .container-fluid { padding: 0; }
.container-fluid .container-fluid > .row { display: block; }
.col-lg-2 { flex: 0 0 15rem; font-size: 13px; position: sticky; top: 0; max-height: 100vh;
  overflow: auto; }
.col-lg-10 { flex: 1 1 auto; min-width: 0; max-width: 75rem; }
.col-lg-2 .lead, .col-lg-2 h4 { display: none; }
.card { border: 1px solid var(--line); border-radius: 6px; margin: 1rem 0; }
.card-header, .card-body { padding: .5rem .8rem; }
.card-body p { margin: 0 0 .4rem; }
.btn { cursor: pointer; display: block; }
.alert-secondary { background: var(--soft); padding: .5rem .8rem; border-radius: 6px; }
h5, h6 { margin: 0; font-size: 1rem; }
.ge-section { margin: 1.2rem 0; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem;
  border-bottom: 1px solid var(--line); }
td:first-child { width: 3rem; }
.list td:first-child { width: auto; }
.badge { background: var(--soft); border-radius: 4px; padding: 0 .3rem; }
.text-success, .ok { color: #2a8a3e; } .text-danger, .critical { color: #c62828; }
.text-warning, .warning { color: #b26a00; }
i.fas { font-style: normal; }
i.fa-check-circle::before { content: "\\2714"; } i.fa-times::before { content: "\\2718"; }
i.fa-exclamation-triangle::before { content: "\\26A0"; }
.findings { border-left: 4px solid var(--line); padding: .2rem 1rem; margin: 1rem 0; }
.quiet { opacity: .7; }
.collapse { display: none; } [hidden], .hide { display: none; }
@media (max-width: 60rem) { .container-fluid > .row { display: block; } }
"""

_SCRIPT = """
function showAllValidations() { filterValidations(false); }
function hideSucceededValidations() { filterValidations(true); }
function filterValidations(failedOnly) {
  for (const cell of document.querySelectorAll('.hide-succeeded-validation-target-child')) {
    cell.closest('tr').hidden = failedOnly;
  }
  const sections = '.hide-succeeded-validations-column-section-target-child';
  for (const block of document.querySelectorAll(sections)) {
    block.closest('.ge-section').hidden = failedOnly;
  }
}
"""


def build_data_docs(
    results: Iterable[ContractResult],
    folder: Path,
    *,
    tables: Collection[str] | None = None,
) -> Path:
    """Writes the pages of the tables whose findings changed, and the index.

    Pages of tables not in `results` stay and stay listed, so that the raw and the sync contracts
    of one run can be written one after the other.

    Args:
        results: what `validate` or `validate_all` found.
        folder: where the pages go; made when missing.
        tables: every table that still has a contract; the pages of others are removed. None keeps
            all.

    Returns:
        The index page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = _read_manifest(folder)
    for result in results:
        page = folder / _page_path(result.contract.table)
        entry = _entry(result)
        before = manifest.get(result.contract.table, {})
        if before.get("fingerprint") != entry["fingerprint"] or not page.is_file():
            page.parent.mkdir(parents=True, exist_ok=True)
            _write(page, _render_page(result))
        manifest[result.contract.table] = entry
    if tables is not None:
        for table in sorted(set(manifest) - set(tables)):
            del manifest[table]
            (folder / _page_path(table)).unlink(missing_ok=True)
    ordered = dict(sorted(manifest.items()))
    _write(folder / _MANIFEST, json.dumps(ordered, indent=1) + "\n")
    index = folder / "index.html"
    _write(index, _render_index(ordered))
    return index


def page_of(folder: Path, table: str) -> Path:
    """Returns where the page of a table is, written or not."""
    return folder / _page_path(table)


def _page_path(table: str) -> str:
    schema, name = table.split(".", 1)
    return f"{schema}/{name}.html"


def _read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # Nothing written yet, or cut short by a crash: the pages are simply written again.
        return {}
    return content if isinstance(content, dict) else {}


def _write(path: Path, text: str) -> None:
    """Writes the file whole or not at all: somebody may be reading it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _entry(result: ContractResult) -> dict[str, Any]:
    findings = [
        [check.name, check.outcome, check.severity, check.observed, check.expected]
        for check in result.checks
    ]
    shown = json.dumps([fingerprint(result.contract), findings, result.quarantined])
    return {
        "fingerprint": hashlib.sha256(shown.encode()).hexdigest(),
        "as_of": result.as_of.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "owner": result.contract.owner,
        "description": result.contract.description,
        "checks": len(result.checks),
        "not_judged": sum(check.outcome is Outcome.NOT_JUDGED for check in result.checks),
        "critical": [check.name for check in result.blocking],
        "warnings": [check.name for check in result.warnings],
        "rows": result.rows,
        "quarantined": sum(result.quarantined.values()),
    }


def _render_page(result: ContractResult) -> str:
    title = html.escape(f"{result.contract.table}: data contract")
    body = "<body></body>"
    if result.judgement is not None:
        body = _render_with_gx(result)
    body = _SCRIPTS.sub("", body)
    for pattern in (_COMMENTS, _LINKS, _FOOTERS, _GX_STYLES):
        body = pattern.sub("", body)
    body = _PICTURES.sub("Data contracts", body)
    body = _HOME.sub('href="../index.html"', body)
    body = _ASSET.sub("", _SUITE.sub(r"\1", body))
    body = body[body.index("<body") :]
    overview = body.find('<div id="section-1"')
    position = overview if overview >= 0 else body.index("</body>")
    body = body[:position] + _findings(result) + body[position:]
    return _page(title, body.replace("</html>", ""))


def _render_with_gx(result: ContractResult) -> str:
    renderer, view = _gx_renderers()
    return str(view.render(renderer.render(_by_subject(result))))


@functools.cache
def _gx_renderers() -> tuple[Any, Any]:
    # One pair a process: a view compiles its templates anew (0.1 s) for whoever makes another.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
        from great_expectations.render.view.view import DefaultJinjaPageView
    return ValidationResultsPageRenderer(run_info_at_end=True), DefaultJinjaPageView()


def _by_subject(result: ContractResult) -> Any:
    """Returns GX's result with each answer filed under the column it is about, in our words.

    GX files by the column of the frame, which here is the name of a check, and shows the bare
    measure; people look for the column of the table and for "3 bad of 1,004 rows".
    """
    assert result.judgement is not None  # noqa: S101 - the caller looked
    judged = copy.deepcopy(result.judgement.result)
    subjects = {plan.name: plan.subject for plan in plan_checks(result.contract)}
    observed = {check.name: check.observed for check in result.checks}
    for answer in judged.results:
        check = answer.expectation_config.meta["check"].removesuffix(" (critical)")
        subject = subjects[check]
        answer.expectation_config.kwargs["column"] = (
            "The table as a whole" if subject == "table" else subject
        )
        answer.result["observed_value"] = observed[check]
    as_of = result.as_of.astimezone(UTC).isoformat()
    judged.meta["run_id"] = {"run_name": as_of, "run_time": as_of}
    # What GX knows about the frame of measures says nothing about the table.
    for key in ("batch_markers", "batch_parameters", "batch_spec", "batch_request"):
        judged.meta.pop(key, None)
    return judged


def _findings(result: ContractResult) -> str:
    contract = result.contract
    parts = [
        f"<h2>{html.escape(contract.table)}</h2>",
        f"<p>{html.escape(contract.description)}</p>",
        f'<p class="quiet">Owner {html.escape(contract.owner)} · {result.rows:,} rows · '
        f"{'all rows' if result.looked_at_all else 'rows that can still change'} looked at · "
        f"contract data_contracts/{html.escape(contract.file)}, version {contract.version}</p>",
    ]
    parts += _list("What failed and what to do", [*result.blocking, *result.warnings])
    if any(result.quarantined.values()):
        rows = "".join(
            f"<tr><td>{html.escape(reason)}</td><td>{count:,}</td></tr>"
            for reason, count in result.quarantined.items()
        )
        parts.append(
            f'<div class="findings"><h5>Rows in quarantine.{html.escape(contract.name)}</h5>'
            f'<table class="list"><tr><th>reason</th><th>rows</th></tr>{rows}</table></div>'
        )
    parts += _list(
        "Not judged yet",
        [check for check in result.checks if check.outcome is Outcome.NOT_JUDGED],
    )
    return "".join(parts)


def _list(title: str, checks: list[CheckResult]) -> list[str]:
    if not checks:
        return []
    lines = "".join(
        f'<p><b class="{"quiet" if check.passed else check.severity}">{html.escape(check.name)}</b>'
        f"{'' if check.passed else f' ({check.severity})'}: "
        f"{html.escape(check.message)}</p>"
        for check in checks
    )
    return [f'<div class="findings"><h5>{html.escape(title)}</h5>{lines}</div>']


def _render_index(manifest: dict[str, dict[str, Any]]) -> str:
    rows = []
    for table, entry in manifest.items():
        state, word = "ok", "kept"
        if entry["warnings"]:
            state, word = "warning", "warnings: " + ", ".join(entry["warnings"])
        if entry["critical"]:
            state, word = "critical", "broken: " + ", ".join(entry["critical"] + entry["warnings"])
        rows.append(
            f'<tr><td><a href="{html.escape(_page_path(table))}">{html.escape(table)}</a></td>'
            f'<td class="{state}">{html.escape(word)}</td>'
            f"<td>{entry['checks'] - entry['not_judged']} of {entry['checks']}</td>"
            f"<td>{entry['rows']:,}</td><td>{entry['quarantined']:,}</td>"
            f"<td>{html.escape(entry['owner'])}</td><td>{html.escape(entry['as_of'])}</td>"
            f"<td>{html.escape(entry['description'])}</td></tr>"
        )
    broken = sum(bool(entry["critical"]) for entry in manifest.values())
    warned = sum(bool(entry["warnings"]) for entry in manifest.values())
    summary = f"{len(manifest)} tables: {broken} broken, {warned} with warnings."
    body = (
        '<body><div class="container-fluid"><h1>Data contracts</h1>'
        f"<p>{summary} A broken contract stops what depends on its table until it is mended.</p>"
        '<table class="list"><tr><th>table</th><th>contract</th><th>checks judged</th>'
        "<th>rows</th><th>in quarantine</th><th>owner</th><th>checked as of</th><th>what it is</th>"
        f"</tr>{''.join(rows)}</table></div></body>"
    )
    return _page("Data contracts", body)


def _page(title: str, body: str) -> str:
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style><script>{_SCRIPT}</script></head>\n{body}\n</html>\n"
    )
