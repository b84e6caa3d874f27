"""Cross-origin requests (Fetch standard §3.2): from the pages that the departments list, as the list is now."""

from __future__ import annotations

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from services.common.config.departments import Departments


class ListedOrigins(CORSMiddleware):
    """Lets pages of the listed origins send requests and read the answers."""

    def __init__(self, app: ASGIApp, departments: Departments) -> None:
        """Pass requests on to `app`. `departments`: list the origins."""
        super().__init__(
            app,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key"],
            expose_headers=["Content-Disposition", "Retry-After", "ETag"],
            max_age=600,
        )
        self._departments = departments

    def is_allowed_origin(self, origin: str) -> bool:
        """Return whether a department lists this origin."""
        return origin in self._departments.origins()
