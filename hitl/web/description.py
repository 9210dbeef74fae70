"""What /openapi.json says of bodies that we read ourselves: shapes, and an example of each."""

from __future__ import annotations

from typing import Any

_ROW: dict[str, Any] = {
    "type": "object",
    "required": ["item_id"],
    "description": "A decision, content, or both. Fields that nobody reads are named in `ignored`.",
    "properties": {
        "item_id": {"type": ["string", "integer"], "maxLength": 200},
        "model_version": {"type": "string", "maxLength": 200},
        "decided_at": {
            "type": "string",
            "format": "date-time",
            "description": "The moment of the decision, not of the push. UTC without a zone.",
        },
        "action": {"type": "string", "enum": ["allow", "review", "block", "remove"]},
        "probabilities": {
            "type": "object",
            "description": "Category of the policy to probability; leave out what is not known.",
            "additionalProperties": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        },
        "text": {"type": "string", "description": "The content; may also come later, or before."},
        "language": {"type": "string", "maxLength": 100},
        "surface": {"type": "string", "maxLength": 100},
        "group": {"type": "string", "description": "What must not be torn apart by a split."},
        "created_at": {"type": "string", "format": "date-time"},
    },
}
_COUNTS = {
    "type": "object",
    "properties": {
        name: {"type": "integer"} for name in ("read", "new", "known", "conflicts", "rejected")
    },
}
_ANSWER = {
    "type": "object",
    "properties": {
        "idempotency_key": {"type": "string"},
        "rows": {"type": "integer"},
        "contents": _COUNTS,
        "decisions": _COUNTS,
        "set_aside": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "position": {"type": "integer", "description": "In `decisions`, from 0."},
                    "field": {"type": "string"},
                    "reason": {"type": "string"},
                },
            },
        },
        "ignored": {"type": "array", "items": {"type": "string"}},
    },
}
_PROBLEM = {
    "application/problem+json": {
        "schema": {
            "type": "object",
            "properties": {
                "type": {"type": "string"},
                "status": {"type": "integer"},
                "code": {"type": "string"},
                "detail": {"type": "string"},
            },
        }
    }
}

_REFUSALS = {
    400: "not JSON, or a key that cannot be used",
    401: "no token, or none of ours",
    408: "the body took too long",
    409: "the key was used for another body",
    413: "the body is too large",
    415: "not application/json, or compressed",
    422: "not a batch, or too many rows",
    429: "more rows than this producer may push; see Retry-After",
    503: "Postgres is away or we are busy; send the same again after Retry-After",
}

PUSH: dict[str, Any] = {
    "security": [{"token": []}],
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,100}$"},
            "description": "Yours, one a body; made of the body where it is left out.",
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["decisions"],
                    "properties": {"decisions": {"type": "array", "minItems": 1, "items": _ROW}},
                },
                "example": {
                    "decisions": [
                        {
                            "item_id": "post-1001",
                            "model_version": "toxicity-7",
                            "decided_at": "2026-06-01T12:00:00Z",
                            "action": "review",
                            "probabilities": {"hate": 0.61, "spam": 0.02},
                            "text": "an invented post",
                            "language": "en",
                        }
                    ]
                },
            }
        },
    },
    "responses": {
        "202": {
            "description": "Committed. The same key again gives the same answer.",
            "content": {"application/json": {"schema": _ANSWER}},
        }
    }
    | {
        str(status): {"description": words, "content": _PROBLEM}
        for status, words in _REFUSALS.items()
    },
}

WEBHOOK: dict[str, Any] = {
    "parameters": [
        {
            "name": "X-Hitl-Webhook-Secret",
            "in": "header",
            "required": True,
            "schema": {"type": "string"},
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "description": "Of all that Label Studio sends, two numbers are read.",
                },
                "example": {
                    "action": "ANNOTATION_CREATED",
                    "task": {"id": 17},
                    "project": {"id": 3},
                },
            }
        },
    },
}

SECURITY_SCHEMES = {"token": {"type": "http", "scheme": "bearer"}}
