"""Selectors of series in PromQL expressions, and the namespace in them. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator

SERIES = re.compile(
    r"\b(up|eloket:[a-z0-9_:]+|(?:eloket|process|rabbitmq|mongodb|kube|kubelet|keda|certmanager)_[A-Za-z0-9_]+)(\{[^}]*\})?"
)
PLACEHOLDER = "$namespace"
_NAMESPACE = re.compile(r'\b(?:exported_)?namespace="([^"]*)"')


def selectors(expression: str) -> Iterator[tuple[str, str]]:
    """Yield each selector of an expression: the name of the series, and its matchers in braces or "" without."""
    yield from ((match[1], match[2] or "") for match in SERIES.finditer(expression))


def within(expression: str, namespace: str) -> str:
    """Return the expression with every selector limited to one namespace.

    A selector that names the placeholder `$namespace` itself (as `exported_namespace`, say) is only filled in.
    """

    def limited(match: re.Match[str]) -> str:
        name, matchers = match[1], match[2] or "{}"
        if PLACEHOLDER in matchers:
            return f"{name}{matchers.replace(PLACEHOLDER, namespace)}"
        rest = matchers[1:-1].strip()
        return f'{name}{{namespace="{namespace}"{", " if rest else ""}{rest}}}'

    return SERIES.sub(limited, expression)


def elsewhere(expression: str, namespace: str) -> list[str]:
    """Return the selectors of an expression that are not limited to this namespace, as they are written."""
    return [
        name + matchers for name, matchers in selectors(expression) if set(_NAMESPACE.findall(matchers)) != {namespace}
    ]
