"""The reference for people: the OpenAPI document as one page of HTML that needs nothing else.

No script and nothing fetched: it works on a machine without a network, under a policy that forbids both.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from html import escape

from chatstore.codec import Json
from chatstore.http.problems import PROBLEMS, UNROUTED

__all__ = ["CONTENT_SECURITY_POLICY", "page"]

_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d8dde3, #363c44); --soft: light-dark(#f4f6f8, #1d2126);
  --faint: light-dark(#5b6570, #9aa4af); --link: light-dark(#0b5cad, #7cb7ff); }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; display: grid; grid-template-columns: 17rem 1fr;
  color: light-dark(#1c2126, #e6e9ec); background: light-dark(#fff, #14171a); }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1.5rem 1rem; background: var(--soft);
  border-right: 1px solid var(--line); font-size: .875rem; }
nav a { display: block; padding: .15rem 0; } nav strong { display: block; margin: 1rem 0 .25rem; }
main { max-width: 58rem; padding: 1.5rem 2.5rem 6rem; }
a { color: var(--link); text-decoration: none; } a:hover { text-decoration: underline; }
h1 { margin: 0 0 .5rem; } h2 { margin: 3rem 0 0; border-bottom: 1px solid var(--line); }
h3 { margin: 2.25rem 0 .5rem; } h4 { margin: 1rem 0 .25rem; font-size: .875rem; color: var(--faint); }
code { font: .875em ui-monospace, monospace; overflow-wrap: anywhere; } h3 code { font-size: .95rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td { border-top: 1px solid var(--line); padding: .4rem .75rem .4rem 0; vertical-align: top; }
td:first-child { width: 15rem; } td p { margin: 0; } small { color: var(--faint); }
.method { display: inline-block; min-width: 4rem; padding: .05rem .4rem; margin-right: .5rem;
  border-radius: .3rem; text-align: center; color: #fff;
  font: 600 .8rem ui-monospace, monospace; background: #57606a; }
.get { background: #1a66b8; } .post { background: #1b7f4b; } .put, .patch { background: #9a6200; }
.delete { background: #b3322b; }
@media (max-width: 52rem) {
  body { display: block; } nav { position: static; height: auto; } main { padding: 1rem; }
}
"""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
)
"""Allows this page's own style and nothing else."""

_PROBLEM = "application/problem+json"
_CODE = re.compile(r"`([^`]+)`")


def page(document: dict[str, Json]) -> str:
    """The page for an OpenAPI document."""
    tags: dict[str, list[tuple[str, str, Json]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tags.setdefault(operation["tags"][0], []).append((method, path, operation))
    info, schemas = document["info"], document["components"]["schemas"]
    menu = "".join(
        f"<strong>{tag}</strong>{''.join(_menu(one['operationId'], one['summary']) for *_, one in found)}"
        for tag, found in tags.items()
    )
    sections = "".join(
        f"<h2>{tag}</h2>{''.join(_operation(*one) for one in found)}" for tag, found in tags.items()
    )
    shapes = "".join(_shape(name, schema) for name, schema in schemas.items())
    codes = {code: (status, title) for status, (code, title) in UNROUTED.items()}
    codes |= {problem.code: (problem.status, problem.title) for problem in PROBLEMS.values()}
    problems = _table(
        (f'<code id="{code}">{code}</code>', f"<code>{status}</code> {escape(title)}")
        for code, (status, title) in sorted(codes.items(), key=lambda one: one[1])
    )
    title = escape(info["title"])
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{_STYLE}</style></head>
<body><nav>{_menu("top", f"{title} {info['version']}")}{menu}<strong>Shapes</strong>
{"".join(_menu(f"shape-{name}", name) for name in schemas)}{_menu("problems", "Problems")}</nav>
<main id="top"><h1>{title}</h1>
<p>{_prose(info["description"])} For machines: <a href="openapi.json">openapi.json</a>.</p>
{sections}
<h2>Shapes</h2>{shapes}
<h2 id="problems">Problems</h2>
<p>An error is <code>{_PROBLEM}</code> with one of these codes.</p>{problems}
</main></body></html>
"""


def _menu(target: str, text: str) -> str:
    return f'<a href="#{target}">{escape(text)}</a>'


def _operation(method: str, path: str, operation: Json) -> str:
    head = (
        f'<h3 id="{operation["operationId"]}"><span class="method {method}">{method.upper()}</span>'
        f"<code>{escape(path)}</code></h3><p><b>{escape(operation['summary'].rstrip('?'))}.</b> "
        f"{_prose(operation['description'])}</p>"
    )
    parts = [head]
    if operation["parameters"]:
        parts.append("<h4>Parameters</h4>" + _table(_parameter(one) for one in operation["parameters"]))
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]
        optional = "" if operation["requestBody"]["required"] else ", may be left out"
        media = " or ".join(f"<code>{one}</code>" for one in content)
        parts.append(
            f"<h4>Body</h4><p>{_type(next(iter(content.values()))['schema'])} as {media}{optional}</p>"
        )
    answers = operation["responses"].items()
    problems = [status for status, _ in answers if status >= "400"]
    rows = [_answer(status, one) for status, one in answers if status not in problems]
    rows.append(("problems", f'<a href="#problems">{", ".join(problems)}</a>'))
    parts.append("<h4>Answers</h4>" + _table(rows))
    return "".join(parts)


def _parameter(parameter: Json) -> tuple[str, str]:
    need = " required" if parameter["required"] else ""
    name = f"<code>{escape(parameter['name'])}</code><br><small>{parameter['in']}{need}</small>"
    return name, f"{_prose(parameter['description'])} <small>{_type(parameter['schema'])}</small>"


def _answer(status: str, answer: Json) -> tuple[str, str]:
    shapes = [_type(one["schema"]) for one in answer.get("content", {}).values()]
    headers = [f"<code>{name}</code>" for name in answer.get("headers", {}) if name != "Server-Timing"]
    more = ", ".join([*shapes, *headers])
    return f"<code>{status}</code>", f"{_prose(answer['description'])} <small>{more}</small>"


def _shape(name: str, schema: Json) -> str:
    required = schema.get("required", ())
    rows = [
        (
            f"<code>{escape(key)}</code>" + ("<br><small>required</small>" if key in required else ""),
            f"{_prose(one.get('description', ''))} <small>{_type(one)}</small>",
        )
        for key, one in schema.get("properties", {}).items()
    ]
    return f'<h3 id="shape-{name}">{name}</h3><p>{_prose(schema.get("description", ""))}</p>{_table(rows)}'


def _type(schema: Json) -> str:
    """A schema in a few words, with links to the shapes that it refers to."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#shape-{name}">{name}</a>'
    for many in ("oneOf", "anyOf"):
        if many in schema:
            return " or ".join(_type(one) for one in schema[many])
    kind = escape(str(schema.get("const") or schema.get("format") or schema.get("type", "anything")))
    if schema.get("type") == "array":
        kind = f"list of {_type(schema.get('items', {}))}"
    limits = [
        f"{word} {escape(json.dumps(schema[key], ensure_ascii=False))}"
        for key, word in _LIMITS.items()
        if schema.get(key) not in (None, {}, [])
    ]
    return ", ".join([kind, *limits])


_LIMITS = {
    "enum": "one of",
    "minimum": "from",
    "maximum": "to",
    "minLength": "at least",
    "maxLength": "at most",
    "minItems": "at least",
    "maxItems": "at most",
    "pattern": "like",
    "default": "unless given",
}


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return (
        "<table>" + "".join(f"<tr><td>{left}</td><td>{right}</td></tr>" for left, right in rows) + "</table>"
    )


def _prose(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))
