"""Every catalogue has the format of docs/texts.md, in four languages, and the keys that are used."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import get_args

import pytest

from services.common.access_chain import FlawCode
from services.common.config.departments import LOCALES, Contact
from services.common.config.faults import CODES
from services.common.events.types import (
    AssuranceLevel,
    ButtonColour,
    ButtonReason,
    Cause,
    CloseReason,
    Detail,
    IdentificationStep,
    Party,
)
from services.common.evidence.verification import Verdict, Why
from services.common.internal_api import accounts, configuration
from services.common.internal_api.supervision import REASONS as REASONS_OF_INTAKES
from services.gateway.http.pages import static_files as pages
from services.gateway.http.pages.accessibility_page.page import CRITERIA
from services.gateway.http.pages.download_page.page import FORMATS
from services.gateway.http.pages.identify_page import page as identify_page
from services.gateway.http.pages.info_sheet.page import REASONS
from services.gateway.http.pages.verify_page import page as verify_page
from services.transcripts.access_log.store import ACTS
from services.transcripts.attachments.kinds import ALLOWED
from tests.support.servers import ROOT

Texts = dict[str, str | dict[str, str]]
SERVICES = ROOT / "services"
FOLDERS = sorted(path.parent.relative_to(SERVICES) for path in SERVICES.rglob("translations/**/nl.json"))
KEY = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
CATEGORIES = {"nl": {"one", "other"}, "fr": {"one", "many", "other"}, "de": {"one", "other"}, "en": {"one", "other"}}
DETAILS = {
    Cause.AGENT_LEFT: [Detail.NOT_ACCEPTED],
    Cause.TRANSFERRED: [Detail.REFUSED, Detail.UNANSWERED, Detail.OVERFLOW, Detail.SILENT],
}
FIGURES = re.findall(
    r'"(\w+)"',
    (SERVICES / "gateway/web/console/reports.js").read_text("utf-8").partition("FIGURES = [")[2].partition("]")[0],
)
PREVIEWS = ("previewClose", "previewFailed", "previewOpen", "previewPage", "previewPicture", "previewSave")
SHORTCUTS = (
    *("accept", "answer", "answers", "close", "help", "identify", "list"),
    *("next", "note", "pause", "search", "transfer", "wrap"),
)
WIDGET = Path("gateway/web/widget/translations")
PARTS = {
    "blue": ["blue-panel.js"],
    "reason": ["blue-reason.js"],
    "after": ["after-chat.js"],
    "files": ["files.js"],
    "form": ["start-form.js"],
    "given": ["given-files.js"],
    "identify": ["identify-card.js"],
    "inactive": ["inactivity-warning.js"],
    "masked": ["masked-numbers.js"],
    "numbers": ["number-warning.js"],
    "privacy": ["privacy-notice.js"],
    "name": ["name-card.js"],
    "previews": ["previews.js"],
    "settings": ["settings.js"],
    "waiting": ["queue-info.js", "leave-question.js"],
}
"""The modules of the widget that load texts of their own, beside those of the panel (`load-part.js`)."""
SHARED = {"blue": ["files", "waiting"]}
"""The parts whose modules use the texts of other parts too."""
LAUNCHER = ["widget.js", "launcher-state.js", "reach.js"]
"""The modules that read the texts of the launcher."""
FIRST_LAUNCHER = {"button": ["widget.js"], "launcher": []}
FIRST_PANEL = {"panel": ["panel.js", "chat-view.js"], "conversation": []}
"""The catalogue that the first moment reads, with the modules that read it, and the one that comes after it."""


def under(prefix: str, *names: str) -> set[str]:
    """The keys of a group."""
    return {f"{prefix}.{name}" for name in names}


# The keys that code makes from parts, or that it passes on before it reads their text, by the folder of the catalogue.
MADE = {
    "gateway/http/pages/info_sheet/translations": {
        *(f"reason.{reason}" for reason in REASONS),
        *(f"contact.{kind}" for kind in get_args(Contact.model_fields["kind"].annotation)),
        *("colour.green", "colour.blue"),
    },
    "gateway/http/pages/accessibility_page/translations": {
        *(f"contact.{kind}" for kind in get_args(Contact.model_fields["kind"].annotation)),
        *(f"partly.{row.criterion}" for row in CRITERIA if row.result == "partly"),
        *under("state", "full", "partly"),
    },
    "gateway/http/pages/download_page/translations": {
        *(f"format.{format_}" for format_ in FORMATS),
        *("unknown_code", "rate_limited", "unavailable", "too_long", "invalid"),
    },
    "gateway/http/pages/identify_page/translations": {
        *(f"{part}.{outcome}" for part in ("title", "outcome") for outcome in identify_page.OUTCOMES),
    },
    "gateway/http/pages/verify_page/translations": {
        *(f"{part}.{verdict}" for part in ("verdict", "more") for verdict in (*Verdict, "code")),
        *(f"why.{why}" for why in Why if why not in (Why.UNKNOWN_KEY, Why.NO_CHAIN)),
        *(f"why.{why}.several" for why in (Why.ENTRIES_ADDED, Why.ENTRIES_MISSING)),
        *(f"party.{party}" for party in verify_page.PARTIES),
        *(f"detail.{detail}" for detail in verify_page.DETAILS),
        *(f"problem.{problem}" for problem in verify_page.PROBLEMS),
    },
    "transcripts/rendering/translations": {
        *(f"party.{party}" for party in Party),
        *(
            f"{reader}.{event}"
            for reader in ("to_citizen", "to_office")
            for event in (
                *(cause for cause in Cause if cause is not Cause.CLOSED),
                *(f"closed.{reason}" for reason in CloseReason),
                *(f"{cause}.{detail}" for cause, details in DETAILS.items() for detail in details),
                *(f"identification.{step}" for step in IdentificationStep),
            )
        ),
        *(f"level.{level}" for level in AssuranceLevel),
    },
    "transcripts/outbox/translations": {"subject", "introduction"},
    "gateway/supervision/translations": {f"intake.{reason}" for reason in REASONS_OF_INTAKES},
    "gateway/web/console/translations": {
        *under("live", "available", "look", "logout", "pause", "paused", "reassign", "revoke", "running", "waiting"),
        *under("live", "for_15", "for_30", "for_60", "for_120", "for_day"),
        *under("bar", "button", "department", "hours", "loading", "offline", "queue"),
        *under("bar.state", "available", "busy", "closed", "no_agents", "other"),
        *under("live.button", "available", "busy", "closed", "no_agents", "other"),
        *under("live.problem", "agent_unavailable", "forbidden", "invalid_until", "no_such_agent", "no_such_chat"),
        *under("live.problem", "identifying_number", "not_online", "not_running", "other"),
        *under("live.reason", *REASONS_OF_INTAKES),
        *under("live.said", "closed", "logged_out", "noted", "opened", "paused", "reassigned", "revoked"),
        *under("live.state", "available", "busy", "offline", "paused"),
        *("live", "login.by_supervisor", "state.why_logged_out", "state.why_supervisor"),
        "login.missing",
        *under("login", "oidc_acr", "oidc_cancelled", "oidc_expired", "oidc_failed", "oidc_no_role"),
        *under("answers", "code", "departments", "texts", "title"),
        *under("answers", "code_wrong", "department_missing", "forbidden", "gone", "invalid", "text_long"),
        *under("answers", "text_missing", "title_long", "title_missing", "too_many_answers", "variable_unknown"),
        *under("assignments", "agent", "chat", "reason", "time", "waited"),
        *under("config", "answer_within", "closed", "day_hours", "hours", "longest", "origins", "patience", "wrap_up"),
        *(
            f"config.{name}_hint"
            for name in ("answer_within", "closed", "day_hours", "hours", "longest", "origins", "patience", "wrap_up")
        ),
        *under("config", "answer_within_missing", "contact_missing", "day_hours_wrong", "day_twice", "day_wrong"),
        "config.hours_wrong",
        *under("config", "name_missing", "note_incomplete", "number_wrong", "origin_wrong"),
        *under("config", "accept", "busy", "start", "added", "removed", "bridge", "closed_day", "buttons_now", "days"),
        *under("config.accept", "by_agent", "automatic"),
        *under("config.act", *get_args(configuration.Act)),
        *under("config.busy", "info_sheet", "queue"),
        *under("config.colour", *ButtonColour),
        *(f"config.kind.{kind}" for kind in get_args(Contact.model_fields["kind"].annotation)),
        *under(
            "config.problem", "changed", "ended", "failed", "forbidden", "gone", "not_logged", "refused", "too_large"
        ),
        *under("config.reason", *(reason for reason in ButtonReason if reason is not ButtonReason.UNKNOWN)),
        *under("config.start", "press", "form"),
        *under("config.fault", *CODES),
        "config",
        *under("staff.column", "acts", "capacity", "departments", "disabled", "locales", "name", "role", "state"),
        *under("staff.column", "totp", "username"),
        *under("sessions", "count", "count_more"),
        *under("sessions.column", "acts", "begun", "client", "name", "network", "used"),
        *under("sessions.problem", "no_such_session", "not_logged", "other"),
        *under("staff", "capacity_hint", "name_hint", "username_hint"),
        *(f"staff.{kind}.{role}" for kind in ("role", "role_hint") for role in get_args(accounts.Role)),
        *under("staff.state", "active", "break_glass", "disabled", "removed", "totp"),
        *(
            f"staff.{kind}.{act}"
            for kind in ("act", "ask")
            for act in get_args(accounts.WishedAct)
            if act not in ("add", "change", "undo")
        ),
        *under("staff.did", *get_args(accounts.Act), "other"),
        *under("staff.once", "password", "totp"),
        *under("staff.problem", "cannot_undo", "capacity_wrong", "changed", "department_missing", "failed", "gone"),
        *under("staff.problem", "department_unknown", "last_administrator", "locale_wrong", "name_wrong", "not_logged"),
        *under("staff.problem", "own_account", "second_factor_missing", "username_taken", "username_wrong"),
        *under("staff.problem", "busy", "ended", "forbidden", "second_factor_needed"),
        *(f"access.act.{act}" for act in (*ACTS, "other")),
        *under("access", "chat", "from", "person", "until"),
        *under("access.column", "about", "act", "at", "reason", "source", "who"),
        *under("access.flaw", *get_args(FlawCode)),
        *under("access.problem", "invalid", "invalid_period", "other", "rate_limited", "search_too_large"),
        *under("access.role", "administrator", "agent", "auditor", "citizen", "operator", "other", "service"),
        "access.role.supervisor",
        *(f"reports.{figure}{definition}" for figure in FIGURES for definition in ("", ".is")),
        *under("reports", "by", "day", "department", "from", "per_day", "per_week", "until", "week"),
        *under("reports", "closing_reasons", "tags", "label", "label_chats", "label_part"),
        *under("reports", "pause_reason", "pause_count", "pause_time"),
        *under("keys", *SHORTCUTS, "always", "single", "task"),
        *under("label.problem", "other", "unknown_label"),
        *under("reports.problem", "forbidden", "invalid", "invalid_period", "other", "period_too_long"),
        *under("reports.problem", "rate_limited", "report_too_large", "unknown_department"),
        *under("past", "by_agent", "by_department", "by_ended", "by_form", "by_from", "by_locale", "by_own", "by_tag"),
        *under("past", "by_rating", "by_until", "score"),
        *under("past.ended", *CloseReason, "other"),
        *under("past.rating", "yes", "partly", "no"),
        *under("past.problem", "forbidden", "invalid", "invalid_period", "other", "query_too_short", "rate_limited"),
        *under("past.problem", "no_such_chat", "too_many_words", "unknown_department"),
        *under("questions", "undo_gone", "undo_not_yours"),
        *under("archive", "by_department", "by_from", "by_number", "by_until"),
        *under("archive.problem", "forbidden", "invalid", "invalid_period", "other", "rate_limited"),
        *under("archive.problem", "unknown_department"),
        *under("attach", "active_content", "chat_closed", "empty", "forbidden", "heic", "infected", "macros"),
        *under("attach", "not_allowed", "old_office", "other", "password", "rate_limited", "too_large", "too_slow"),
        *under("attach", "not_scannable", "type_not_allowed", "unavailable"),
        *under("attach", "download", *PREVIEWS),
        *under("chat", "delivered", "pending", "read"),
        "note.pending",
        *under("block", "for_15", "for_60", "for_480", "for_1440"),
        *under("chat", "again", "error", "field", "form", "locale", "question", "started", "step", "system", "with"),
        *under("choice", "fewest_chats", "language", "longest_idle", "named", "only_one", "other"),
        *under("connection", "back", "connecting", "offline", "online", "stopped"),
        *under("download", "html", "json", "pdf", "txt"),
        *under("ended", *CloseReason, "away", "other", "you"),
        *under("error", "chat_closed", "invalid", "not_yours", "rate_limited", "too_long", "unavailable"),
        *under("error", "identifying_number", "unknown_attachment", "other"),
        *under("masked", "national", "iban", "card"),
        *under(
            "gone",
            "agent_left",
            "agent_silent",
            "not_accepted",
            "refused",
            "released",
            "transferred",
            "unanswered",
            "other",
        ),
        *under("item", "block", "dismiss", "dismiss_of", "presence_unknown", "refuse", "refuse_of"),
        *under("locale", *LOCALES),
        *under("login", "ended", "left", "over"),
        *under("questions", "claim", "claim_of", "count", "done_of", "read", "read_of", "release", "release_of"),
        *under("returned", "refused", "unanswered", "other"),
        *under("said", "opened", "closed"),
        *under("level", *AssuranceLevel, "other"),
        *under("said.identification", *(step for step in IdentificationStep if step is not IdentificationStep.ASKED)),
        *under("said.identification.asked", "you", "other", "nobody"),
        *under("said.agent_left", "you", "other", "nobody"),
        *under("said.agent_left.not_accepted", "you", "other"),
        *under("said.assigned", "you", "other", "nobody"),
        *under("said.closed", *CloseReason),
        *under("said.closed.agent", "you", "other"),
        *under("said.transferred", "you", "other", "nobody", "overflow", "refused", "unanswered"),
        "said.transferred.agent_silent",
        *under("state", "available", "now_available", "now_paused", "paused", "unknown", "why_accept_overdue"),
        *("close", "download", "identify", "note.unsent_label", "transfer", "write.unsent_label"),
    },
    "gateway/web/demo/translations": set(),
    f"{WIDGET}/blue": {
        *("place_minute", "place_minutes", "place_hour", "queueFull", "queueGone", "blocked", "waitFailed"),
        *("fileLate", "fileRefused"),
    },
    f"{WIDGET}/reason": {
        *("busy", "no_agents", "unknown", "hour", "time", "today", "tomorrow", "offers", "sheet"),
    },
    f"{WIDGET}/after": {"askFailed", "busy", "helped", "over", "score", "thanks"},
    f"{WIDGET}/masked": {"card", "iban", "national"},
    f"{WIDGET}/numbers": {"card", "iban", "national"},
    f"{WIDGET}/privacy": set(),
    f"{WIDGET}/files": {
        *("active_content", "empty", "heic", "infected", "macros", "not_allowed", "old_office", "password"),
        *("infectedSaved", "not_scannable", "pdfTooLong", "too_slow", "unavailable"),
        *(f"kind_{kind}" for kind in ALLOWED),
    },
    f"{WIDGET}/form": {"blueSlot", "heldSlot", "lapsedSlot"},
    f"{WIDGET}/given": set(),
    f"{WIDGET}/identify": set(),
    f"{WIDGET}/inactive": {"closesMinute", "closesMinutes"},
    f"{WIDGET}/button": {kind + hint for kind in ("green", "blue", "live") for hint in ("", "Hint")},
    f"{WIDGET}/launcher": {
        *get_args(Contact.model_fields["kind"].annotation),
    },
    f"{WIDGET}/name": set(),
    f"{WIDGET}/panel": {"gone", "grey", "startBlue", "startFailed", "startNetwork", "startStrange"},
    f"{WIDGET}/conversation": {
        *("again", "close", "confirm", "discard", "dismiss", "download", "format", "html", "no", "restart"),
        *("txt", "yes", "file", "read", "sent"),
        *("chat_closed", "invalid", "network", "rate_limited", "too_long", "unknown_attachment"),
        *("endAgent", "endCitizen", "endInactive", "endNo_agent", "endUnreached"),
        *("farBlocked", "farBroken", "farLong", "farUnreached"),
        *("startBlocked", "startBusy", "startInvalid", "startRefused", "startNumbers"),
    },
    f"{WIDGET}/previews": set(PREVIEWS),
    f"{WIDGET}/settings": {"agentNews", "closingNews", "endedNews", "messageNews", "notify", "sharedComputer", "sound"},
    f"{WIDGET}/waiting": {"contact", "contactEmpty", "contactWrong", "hour", "minute", "minutes", "textEmpty"},
}


def read(folder: Path) -> dict[str, Texts]:
    return {file.stem: json.loads(file.read_text("utf-8")) for file in sorted((SERVICES / folder).iterdir())}


def own(part: str) -> set[str]:
    """The keys of a catalogue of the widget."""
    return set(read(WIDGET / part)["nl"])


def shared(part: str) -> set[str]:
    """The keys of other parts that the modules of this one use."""
    return set().union(*(own(other) for other in SHARED.get(part, [])))


def wanted(folder: Path) -> set[str]:
    """The keys that the code of this catalogue uses."""
    web = SERVICES / WIDGET.parent
    if folder.parent != WIDGET:
        extended = (SERVICES / folder.parents[1]).glob("citizen_page.*")
        keys = used(*(SERVICES / folder.parent).iterdir(), *extended)
    elif folder.name in FIRST_LAUNCHER:
        first, every = read_words(*FIRST_LAUNCHER["button"]), read_words(*LAUNCHER)
        keys = first if folder.name == "button" else every - first - MADE[f"{WIDGET}/button"]
    elif folder.name in FIRST_PANEL:
        later = {name: own(part) | shared(part) for part, names in PARTS.items() for name in names}
        modules = [file for file in web.glob("*.js") if file.name not in LAUNCHER]
        first = {key for name in FIRST_PANEL["panel"] for key in used(web / name)}
        every = {key for file in modules for key in used(file) - later.get(file.name, set())}
        keys = first if folder.name == "panel" else every - first - MADE[f"{WIDGET}/panel"]
    else:
        common = own("panel") | own("conversation")
        keys = used(*(web / name for name in PARTS[folder.name])) - common - shared(folder.name)
    return keys | MADE[str(folder)]


def read_words(*names: str) -> set[str]:
    """The keys of the launcher that these modules read."""
    web = SERVICES / WIDGET.parent
    return set(re.findall(r"\bwords\.(\w+)", "".join((web / name).read_text() for name in names)))


def used(*files: Path) -> set[str]:
    """The keys that these modules and templates name in full."""
    keys: set[str] = set()
    for file in files:
        if file.suffix == ".py":
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ("TEXTS.text", "TEXTS.forms", "texts.text"):
                    keys |= set(named(node.args[1]))
        elif file.suffix == ".js":
            keys |= named_in_javascript(file.read_text())
        elif file.suffix == ".html":
            keys |= set(re.findall(r"(?:\bt\(|\bdata-text=|\bdata-label=)\"([\w.]+)\"(?! ~)", file.read_text()))
    return keys


def named_in_javascript(code: str) -> set[str]:
    """The keys that are the first argument of `t(…)`, or a branch of it: neither compared nor part of a template."""
    keys: set[str] = set()
    for call in re.finditer(r"\bt(?:\.has)?\(", code):
        depth, end = 0, call.end()
        while depth >= 0 and not (depth == 0 and code[end] == ","):
            depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(code[end], 0)
            end += 1
        argument = re.sub(r"`[^`]*`", "", code[call.end() : end])
        for before, key, after in re.findall(r"([!=]== )?\"([\w.]+)\"( [!=]==)?", argument):
            if not before and not after:
                keys.add(key)
    return keys


def named(argument: ast.expr) -> list[str]:
    """The keys that an argument can be, when it names them in full."""
    if isinstance(argument, ast.IfExp):
        return [*named(argument.body), *named(argument.orelse)]
    return [argument.value] if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else []


def forms(text: str | dict[str, str]) -> dict[str, str]:
    return {"other": text} if isinstance(text, str) else text


def placeholders(text: str | dict[str, str]) -> set[str]:
    return {name for form in forms(text).values() for name in PLACEHOLDER.findall(form)}


def faults(languages: dict[str, Texts], wanted: set[str]) -> set[str]:
    """What is wrong with a catalogue whose code uses the keys `wanted`."""
    wrong = {f"languages: {sorted(languages)}"} if set(languages) != set(LOCALES) else set()
    every = {key for texts in languages.values() for key in texts}
    wrong |= {f"unused: {key}" for key in every - wanted} | {f"missing: {key}" for key in wanted - every}
    wrong |= {f"bad key: {key}" for key in every if not KEY.fullmatch(key)}
    for language, texts in languages.items():
        wrong |= {f"missing in {language}: {key}" for key in every - texts.keys()}
        for key, text in texts.items():
            plural, first = forms(text), next(other[key] for other in languages.values() if key in other)
            if isinstance(text, dict) is not isinstance(first, dict):
                wrong.add(f"plural forms in some languages only: {key}")
            if isinstance(text, dict) and not {"one", "other"} <= plural.keys() <= CATEGORIES[language]:
                wrong.add(f"plural categories in {language}: {key}")
            if language != "nl" and text == languages.get("nl", {}).get(key) and len(forms(text)["other"].split()) > 4:
                wrong.add(f"Dutch in {language}: {key}")
            if placeholders(text) != placeholders(first):
                wrong.add(f"other placeholders in {language}: {key}")
            for category, form in plural.items():
                if not form.strip() or form != form.strip():
                    wrong.add(f"empty, or space around it, in {language}: {key}")
                if re.search(r"[{}]", PLACEHOLDER.sub("", form)):
                    wrong.add(f"a brace that is no placeholder in {language}: {key}")
                if placeholders(text) - placeholders(form) - ({"n"} if category == "one" else set()):
                    wrong.add(f"a plural form without a placeholder in {language}: {key}")
    return wrong


def test_all_catalogues_are_known() -> None:
    assert {str(folder) for folder in FOLDERS} == MADE.keys()
    web = Path("gateway/web")
    served = {web / place for places in pages.CATALOGUES.values() for place in places}
    assert served == {f for f in FOLDERS if f.is_relative_to(web)}


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_a_catalogue_is_complete_and_nothing_in_it_is_unused(folder: Path) -> None:
    assert faults(read(folder), wanted(folder)) == set()


@pytest.mark.parametrize("part", PARTS)
def test_texts_that_come_later_hide_none_of_the_panel(part: str) -> None:
    assert not own(part) & (own("panel") | own("conversation"))


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_the_languages_have_their_keys_in_the_same_order_so_that_translators_can_compare(folder: Path) -> None:
    orders = {tuple(texts) for texts in read(folder).values()}
    assert len(orders) == 1


def test_a_key_occurs_once_in_a_file() -> None:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        assert len(dict(pairs)) == len(pairs), [key for key, _ in pairs]
        return dict(pairs)

    with pytest.raises(AssertionError):
        json.loads('{"a": "x", "a": "y"}', object_pairs_hook=once)
    for file in (file for folder in FOLDERS for file in (SERVICES / folder).iterdir()):
        json.loads(file.read_text("utf-8"), object_pairs_hook=once)


GOOD: Texts = {"a.b": "text {name}", "files": {"one": "1 file of {name}", "other": "{n} of {name}"}}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"c": "more"}, "unused: c"),
        ({"c": "more"}, "missing in nl: c"),
        ({"c d": "more"}, "bad key: c d"),
        ({"a.b": ""}, "empty, or space around it, in fr: a.b"),
        ({"a.b": " text {name}"}, "empty, or space around it, in fr: a.b"),
        ({"a.b": "text"}, "other placeholders in fr: a.b"),
        ({"a.b": "text {nom}"}, "other placeholders in fr: a.b"),
        ({"a.b": "text {name} {"}, "a brace that is no placeholder in fr: a.b"),
        ({"a.b": "text {name} {name.x}"}, "a brace that is no placeholder in fr: a.b"),
        ({"files": "{n} of {name}"}, "plural forms in some languages only: files"),
        ({"files": {"other": "{n} of {name}"}}, "plural categories in fr: files"),
        ({"files": {**forms(GOOD["files"]), "few": "{n} of {name}"}}, "plural categories in fr: files"),
        ({"files": {"one": "1 file", "other": "{n} of {name}"}}, "a plural form without a placeholder in fr: files"),
        ({"files": {"one": "{n} of {name}", "other": "{name}"}}, "a plural form without a placeholder in fr: files"),
    ],
)
def test_each_fault_is_found(change: Texts, fault: str) -> None:
    languages = {language: dict(GOOD) for language in LOCALES}
    assert faults(languages, set(GOOD)) == set()
    languages["fr"] |= change
    assert fault in faults(languages, set(GOOD))


def test_a_missing_language_or_key_is_found() -> None:
    languages = {language: dict(GOOD) for language in LOCALES}
    assert faults(languages, {*GOOD, "new"}) == {"missing: new"}
    del languages["de"]
    assert "languages: ['en', 'fr', 'nl']" in faults(languages, set(GOOD))


def test_the_keys_that_code_uses_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        'TEXTS.text(x, "one" if y else "two")\nTEXTS.forms(x, "many")\nTEXTS.text(x, f"a.{y}")'
    )
    (tmp_path / "a.html").write_text(
        '{{ t("three") }} {{ t("four.five", name=x) }} {{ t("a." ~ x) }} {{ format("six") }}'
    )
    (tmp_path / "b.html").write_text('<p data-text="six.one"></p>')
    (tmp_path / "a.js").write_text(
        't("seven") + t(a === "no" ? "eight" : "nine", { n: "no" }) + at("no") + t(`no.${"no"}`) + t.has("ten")'
        ' + `${t("x.y")}`'
        ' + t({ no: "eleven" }[x] ?? "twelve")'
    )
    python = {"one", "two", "many", "three", "four.five"}
    assert used(*tmp_path.iterdir()) == {*python, "six.one", "seven", "eight", "nine", "ten", "eleven", "twelve", "x.y"}


def test_a_text_that_was_not_translated_is_found() -> None:
    languages: dict[str, Texts] = {language: {"a": f"meer dan vier woorden in {language}"} for language in LOCALES}
    assert faults(languages, {"a"}) == set()
    languages["fr"]["a"] = languages["nl"]["a"]
    assert faults(languages, {"a"}) == {"Dutch in fr: a"}


@pytest.mark.parametrize(
    ("language", "others"),
    [
        ("nl", ("afdeling", "het toegangslog", "notitie", "hem of haar")),
        ("de", ("Abteilung", "sie oder ihn")),
        ("en", ("him or her", "he or she")),
    ],
)
def test_the_console_has_one_word_for_a_thing(language: str, others: tuple[str, ...]) -> None:
    """A department, the access log, an internal note and an agent are called the same on every page."""
    text = (SERVICES / "gateway/web/console/translations" / f"{language}.json").read_text("utf-8").lower()
    assert [word for word in others if word.lower() in text] == []


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_french_has_one_word_for_an_agent(folder: Path) -> None:
    assert "collaborat" not in (SERVICES / folder / "fr.json").read_text("utf-8").lower()


@pytest.mark.parametrize("language", LOCALES)
def test_a_period_that_ends_before_it_begins_has_the_same_words_everywhere(language: str) -> None:
    texts = json.loads((SERVICES / f"gateway/web/console/translations/{language}.json").read_text("utf-8"))
    periods = {key: words for key, words in texts.items() if key.endswith(".invalid_period")}
    assert len(periods) == 4
    assert len(set(periods.values())) == 1, periods


@pytest.mark.parametrize("language", LOCALES)
def test_the_two_buttons_of_a_question_of_the_console_have_different_words(language: str) -> None:
    texts = json.loads((SERVICES / f"gateway/web/console/translations/{language}.json").read_text("utf-8"))
    scripts = "".join(path.read_text("utf-8") for path in (SERVICES / "gateway/web/console").glob("*.js"))
    agreeing = re.findall(r'yes: t\("([^"]+)"', scripts)
    assert len(agreeing) > 10
    assert "questions.undo" in agreeing
    assert [key for key in agreeing if texts[key] == texts["dialog.cancel"]] == []
