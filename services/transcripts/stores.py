"""The stores of transcripts: the only code that knows MongoDB."""

from __future__ import annotations

from datetime import timedelta

from services.common.config.departments import Departments
from services.common.config.integrations import Integrations
from services.common.mongo.client import Database
from services.common.mongo.leases import Leases
from services.transcripts.access.read_clients import ReadAccess
from services.transcripts.access_log.store import AccessLog
from services.transcripts.after_chat.download_codes import DownloadCodes
from services.transcripts.after_chat.labels import Labels
from services.transcripts.after_chat.ratings import Ratings
from services.transcripts.attachments.store import Files
from services.transcripts.canned_answers import CannedAnswers
from services.transcripts.log.store import Store
from services.transcripts.log.writer import now_ms
from services.transcripts.outbox.store import Outbox
from services.transcripts.past_chats.store import PastChats
from services.transcripts.questions.store import Questions
from services.transcripts.retention.store import Erasures
from services.transcripts.settings import Settings
from services.transcripts.statistics.store import Statistics


class Stores:
    """One store for each subject.

    Attributes:
        department_ids: The ids of all departments, changed in place when the departments file changes.
    """

    def __init__(
        self, database: Database, settings: Settings, departments: Departments, integrations: Integrations
    ) -> None:
        """Use the collections of this database.

        Args:
            database: The database.
            settings: The settings of the service.
            departments: The departments.
            integrations: The targets of the outbox: what none of them wants is not marked for it.
        """
        self.department_ids = departments.ids
        former, wanted = timedelta(seconds=settings.former_access), integrations.events
        self.leases = Leases(database)
        self.logs, self.files = Store(database), Files(database)
        self.access_log = AccessLog(database, now_ms, settings.unusual_reading)
        self.outbox = Outbox(database, timedelta(seconds=settings.outbox_patience))
        self.questions = Questions(database, timedelta(seconds=settings.claim_life), former, "question.left" in wanted)
        self.codes = DownloadCodes(database, timedelta(seconds=settings.download_code_life))
        self.statistics = Statistics(database, settings.agent_figures == "on")
        self.erasures, self.past_chats = Erasures(database, self.statistics), PastChats(database, departments)
        self.ratings = Ratings(database, self.statistics, self.past_chats, "rating.given" in wanted)
        self.labels = Labels(database, self.statistics, self.past_chats, "chat.labelled" in wanted)
        self.canned_answers = CannedAnswers(database, self.department_ids)
        self.clients = ReadAccess(database, integrations, departments)
