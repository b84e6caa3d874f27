"""Route of what transcripts knows about new departments: which of them the integrations name."""

from __future__ import annotations

import asyncio

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.common.config.faults import Fault, shown
from services.common.config.integrations import load_integrations
from services.common.config.toml_file import ConfigurationError
from services.common.http.problems import Problem
from services.common.internal_api.configuration import CONFIGURATION_NAMES, NamesCheck
from services.common.runtime.service import caller
from services.transcripts.api.context import Context

log = structlog.get_logger()


def create_routes(context: Context) -> APIRouter:
    """Return this route."""
    routes = APIRouter()

    @routes.post(CONFIGURATION_NAMES, status_code=204)
    async def names(request: Request, check: NamesCheck) -> Response:
        caller(request)
        try:
            await asyncio.to_thread(load_integrations, context.settings.integrations_file, check.departments)
        except ConfigurationError as error:
            log.warning("integrations_refused", reason=str(error))
            fault = shown(error.fault or Fault("server"), {})
            raise Problem(422, "invalid_configuration", str(error), fault=fault) from None
        return Response(status_code=204)

    return routes
