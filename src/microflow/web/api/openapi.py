"""The OpenAPI 3.1 document, made from the route table and the types that requests and answers have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ... import __version__
from ..http.parameters import Identity
from ..http.problems import PROBLEM_TYPE, ProblemDetails
from .messages import NoBody

if TYPE_CHECKING:
    from .endpoints import Endpoint

_REFERENCE = "#/components/schemas/{name}"

_PATH_PARAMETERS: dict[str, tuple[Any, str]] = {
    "id": (Identity, "The id of an execution."),
    "flow": (str, "The name of a flow."),
    "job": (str, "The name of a job."),
    "name": (str, "The name of a schedule."),
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """What the endpoints take and give, as an OpenAPI 3.1 document."""
    bodies = [endpoint.body for endpoint in endpoints if endpoint.body is not NoBody]
    responses = [endpoint.response for endpoint in endpoints if endpoint.response is not None]
    _, schemas = msgspec.json.schema_components([*bodies, *responses, ProblemDetails], ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Microflow",
            "version": __version__,
            "description": "Run jobs, look at their executions, act on them: everything that the web app does.",
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": {name: _described(schema) for name, schema in schemas.items()},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "Where the server has a token."}
            },
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    summary, description = endpoint.summary
    operation: dict[str, Any] = {
        "operationId": endpoint.handler.__name__,
        "summary": summary,
        **({"description": description} if description else {}),
        "parameters": [*_path_parameters(endpoint.path), *_query_parameters(endpoint.query)],
        "responses": {
            str(int(endpoint.status)): {
                "description": endpoint.status.phrase,
                "content": {endpoint.media_type: {"schema": _response_schema(endpoint)}},
            },
            "default": {
                "description": "Why the request was not carried out.",
                "content": {PROBLEM_TYPE: {"schema": _reference(ProblemDetails)}},
            },
        },
    }
    if endpoint.method != "GET":
        operation["requestBody"] = {
            "required": bool(_required(endpoint.body)),
            "content": {
                "application/json": {
                    "schema": {"type": "object"} if endpoint.body is NoBody else _reference(endpoint.body)
                }
            },
        }
    return operation


def _response_schema(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.response is not None:
        return _reference(endpoint.response)
    return {"type": "object" if endpoint.media_type == "application/json" else "string"}


def _reference(kind: type) -> dict[str, Any]:
    return {"$ref": _REFERENCE.format(name=kind.__name__)}


def _required(form: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(form) if field.required]


def _path_parameters(path: str) -> Iterable[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", path):
        kind, description = _PATH_PARAMETERS[name]
        schema = msgspec.json.schema(kind)
        yield {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _query_parameters(form: type[msgspec.Struct]) -> Iterable[dict[str, Any]]:
    for field in msgspec.structs.fields(form):
        (schema,), definitions = msgspec.json.schema_components([field.type], ref_template=_REFERENCE)
        yield {
            "name": field.encode_name,
            "in": "query",
            "required": field.required,
            "schema": _alone(_inlined(schema, definitions)),
        }


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema whose description is text on one line, where the docstring it comes from is indented and marked up."""
    text = " ".join(schema.get("description", "").replace("``", "`").split())
    return {**schema, "description": text} if text else schema


def _alone(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter's schema without null, since a query can leave a parameter out but can't say null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    return (
        {**kinds[0], **{key: value for key, value in schema.items() if key != "anyOf"}} if len(kinds) == 1 else schema
    )


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """A schema with what it refers to in its place: the types of parameters are small, and stand nowhere else."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if (reference := schema.get("$ref")) is not None:
        return definitions[reference.rpartition("/")[2]]
    return {key: _inlined(part, definitions) for key, part in schema.items()}
