"""Routes of the operator's command: erasures by chat number, legal holds, receipts, and the report of retention."""

from __future__ import annotations

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.common.config.retention import Periods
from services.common.events.types import Party
from services.common.http.problems import Problem
from services.common.internal_api import erasures as erasures_api
from services.common.internal_api.erasures import DepartmentPeriods, EraseWanted, HoldWanted, LiftWanted, MessageErase
from services.common.runtime.service import caller
from services.transcripts.access_log.store import Access, Act
from services.transcripts.api.context import Context
from services.transcripts.api.responses import json_response
from services.transcripts.identifications import names_citizen
from services.transcripts.retention.rules import Obstacle

log = structlog.get_logger()

_REFUSALS = {
    Obstacle.UNKNOWN: (404, "There is no such conversation, and nothing of one is left."),
    Obstacle.OPEN: (409, "This conversation has not ended. End it first."),
    Obstacle.RECENT: (409, "This conversation ended less than ten minutes ago. Try again later."),
    Obstacle.ON_HOLD: (409, "This conversation is under a legal hold. Lift the hold first."),
}


def create_routes(context: Context) -> APIRouter:
    """Return these routes."""
    routes = APIRouter()

    @routes.post(erasures_api.ERASE, response_model=erasures_api.Receipt)
    async def erase(request: Request, wanted: EraseWanted) -> Response:
        caller(request).require_operator()
        now = context.clock()
        if wanted.only_check:
            why_not = await context.erasures.check(wanted.chat_id, now)
        else:
            why_not = await context.erasures.erase(wanted.chat_id, "operator", now)
        if why_not is Obstacle.UNKNOWN and wanted.elsewhere and not wanted.only_check:
            why_not = None  # only others had something of it
        if why_not is not None:
            status, detail = _REFUSALS[why_not]
            raise Problem(status, why_not.value, detail)
        if wanted.only_check:
            return Response(status_code=204)
        await _logged(context, "chat_erased", wanted)
        log.info("chat_erased", chat_id=wanted.chat_id)
        return json_response(await context.erasures.receipt_of_erasure(wanted, now))

    @routes.post(erasures_api.ERASE_MESSAGE, response_model=erasures_api.Receipt)
    async def erase_message(request: Request, wanted: MessageErase) -> Response:
        """Erase what one message says, and its file. Its place in the log stays, so that the rest can be verified."""
        caller(request).require_operator()
        now = context.clock()
        why_not = await context.erasures.check(wanted.chat_id, now)
        chat = await context.store.chat(wanted.chat_id)
        if why_not is not None or chat is None or chat.closed_at is None:
            status, detail = _REFUSALS[why_not or Obstacle.UNKNOWN]
            raise Problem(status, (why_not or Obstacle.UNKNOWN).value, detail)
        entry = next(iter(await context.store.entries(wanted.chat_id, wanted.seq - 1, 1)), None)
        if entry is None or (entry.party is Party.SYSTEM and not names_citizen(entry)):
            raise Problem(404, "no_such_message", "This conversation has no message of a participant with this number.")
        if entry.attachment:
            await context.erasures.delete_file(entry.attachment.id)
        digest = await context.chains.remove_content(chat, entry, chat.closed_at)
        await context.past_chats.add_again(wanted.chat_id)
        await _logged(context, "message_erased", wanted)
        log.info("message_erased", chat_id=wanted.chat_id, seq=wanted.seq)
        return json_response(await context.erasures.receipt_of_message(wanted, digest, now))

    @routes.post(erasures_api.HOLD, response_model=erasures_api.Receipt)
    async def hold(request: Request, wanted: HoldWanted) -> Response:
        caller(request).require_operator()
        now = context.clock()
        if wanted.until <= now:
            raise Problem(422, "invalid", "The end of a hold must be in the future.")
        receipt = await context.erasures.hold(wanted, now)
        if receipt is None:
            raise Problem(404, "no_such_chat", "There is no such conversation, or it is being erased.")
        await _logged(context, "hold_set", wanted)
        log.info("hold_set", chat_id=wanted.chat_id, until=wanted.until.isoformat())
        return json_response(receipt)

    @routes.post(erasures_api.LIFT, response_model=erasures_api.Receipt)
    async def lift(request: Request, wanted: LiftWanted) -> Response:
        caller(request).require_operator()
        receipt = await context.erasures.lift(wanted, context.clock())
        if receipt is None:
            raise Problem(404, "no_such_hold", "This conversation is not under a legal hold.")
        await _logged(context, "hold_lifted", wanted)
        log.info("hold_lifted", chat_id=wanted.chat_id)
        return json_response(receipt)

    @routes.post(erasures_api.RECEIPTS, response_model=erasures_api.Receipts)
    async def receipts(request: Request, query: erasures_api.ReceiptsQuery) -> Response:
        caller(request).require_operator()
        await context.access_log.record(Access("receipts_read", None, "operator", item=query.after))
        return json_response(erasures_api.Receipts(receipts=await context.erasures.receipts(query.after)))

    @routes.post(erasures_api.REPORT, response_model=erasures_api.Report)
    async def report(request: Request, query: erasures_api.ReportQuery) -> Response:
        caller(request).require_operator()
        await context.access_log.record(Access("report_read", None, "operator"))
        departments = context.departments
        return json_response(
            erasures_api.Report(
                rows=await context.erasures.report(query.since, query.until),
                periods=[_periods(d.id, departments.periods(d.id)) for d in departments.departments],
                on_hold=await context.erasures.on_hold(context.clock()),
                last_run=await context.erasures.last_run(),
            )
        )

    return routes


async def _logged(context: Context, act: Act, wanted: LiftWanted) -> None:
    await context.access_log.record(Access(act, wanted.by, "operator", wanted.chat_id, reason=wanted.reason))


def _periods(department: str, periods: Periods) -> DepartmentPeriods:
    days = {
        "conversation": periods.conversation,
        "files": periods.of_part("files"),
        "notes": periods.of_part("notes"),
        "questions": periods.questions,
        "answered_questions": periods.answered_questions,
        "access_log": periods.access_log,
        "statistics": periods.statistics,
    }
    return DepartmentPeriods(
        department=department, confirmed=periods.confirmed, days={name: span.days for name, span in days.items()}
    )
