"""How the two applications describe themselves at `/openapi.json`: every status that an operation may answer, and what its bytes are.

Rules:
- A problem is described where it may come: by its slugs of `problems.TABLE`, as `application/problem+json`. Some may come anywhere
  (`ANYWHERE`); an operation names the others. A test asks the running server, and holds it to this.
- FastAPI's own description of a request that can't be read (422, its own shape) is taken out: ours is the problem `bad-request`.
- Bytes that are no JSON are described by their type, and what a caller may send beside the path by its header.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from server.problems import TABLE

Responses = dict[int | str, dict[str, Any]]

PROBLEM_TYPE = "application/problem+json"
ANYWHERE = ("bad-request", "unexpected", "storage", "storage-full")
"""Whatever is asked for: it can't be read, or the machine fails."""

METHODS = ("get", "head", "put", "post", "delete", "patch", "options")
FROM_FASTAPI = ("HTTPValidationError", "ValidationError")
PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "Problem details (RFC 9457); further members say more about some types.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "enum": [f"urn:zhilu:{slug}" for slug in TABLE]},
        "title": {"type": "string"},
        "status": {"type": "integer", "enum": sorted({status for status, _ in TABLE.values()})},
        "detail": {"type": "string"},
    },
}


def problems(*slugs: str) -> Responses:
    """The answers of an operation that are problems, by status."""
    found: Responses = {}
    for status in sorted({TABLE[slug][0] for slug in slugs}):
        mine = [slug for slug in slugs if TABLE[slug][0] == status]
        types = {"properties": {"type": {"enum": [f"urn:zhilu:{slug}" for slug in mine]}}}
        schema = {"allOf": [{"$ref": "#/components/schemas/Problem"}, types]}
        found[status] = {"description": "; ".join(TABLE[slug][1] for slug in mine), "content": {PROBLEM_TYPE: {"schema": schema}}}
    return found


def content(what: str, *types: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Responses:
    """An answer that is bytes of one of these types; `headers` by name with what each says."""
    described: dict[str, Any] = {"description": what, "content": {kind: {"schema": _bytes(kind)} for kind in types}}
    if headers:
        described["headers"] = {name: {"description": said, "schema": {"type": "string"}} for name, said in headers.items()}
    return {status: described}


def takes(what: str, kind: str) -> dict[str, Any]:
    """What an operation takes that is no JSON, for `openapi_extra`."""
    return {"requestBody": {"description": what, "required": True, "content": {kind: {"schema": _bytes(kind)}}}}


def _bytes(kind: str) -> dict[str, str]:
    return {"type": "string"} if kind.startswith("text/") else {"type": "string", "format": "binary"}


def install(app: FastAPI, anywhere: Sequence[str] = ()) -> None:
    """Let an application describe itself so; `anywhere` are slugs that any of its operations may answer."""
    common = problems(*ANYWHERE, *anywhere)

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, routes=app.routes)
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            for name in FROM_FASTAPI:
                schemas.pop(name, None)
            schemas["Problem"] = PROBLEM
            for path in made["paths"].values():
                for method in METHODS:
                    if method in path:
                        path[method]["responses"] = _answers(path[method]["responses"], common)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's documented way


def _answers(stated: Mapping[str, Any], common: Responses) -> dict[str, Any]:
    """What an operation states, without FastAPI's 422 and with what may come anywhere."""
    mine = {status: answer for status, answer in stated.items() if not (status == "422" and "HTTPValidationError" in str(answer))}
    for status, answer in common.items():
        mine[str(status)] = _both(mine[str(status)], answer) if str(status) in mine else answer
    return dict(sorted(mine.items()))


def _both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Two sets of problems of one status as one."""
    types: list[str] = []
    for answer in (one, other):
        types += answer["content"][PROBLEM_TYPE]["schema"]["allOf"][1]["properties"]["type"]["enum"]
    return problems(*dict.fromkeys(kind.removeprefix("urn:zhilu:") for kind in types)).popitem()[1]
