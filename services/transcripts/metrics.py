"""Metrics of the transcript service; labels are bounded."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from services.common.events.types import IdentificationStep

STORED = Counter("eloket_entries_stored_total", "Entries that this process stored", ["party"])
REPEATED = Counter("eloket_entries_repeated_total", "Entries that were in the log already when they came")
REFUSED = Counter("eloket_messages_refused_total", "Messages that were refused", ["code"])
BATCH_SIZE = Histogram("eloket_batch_size", "Deliveries in one batch", buckets=(1, 2, 5, 10, 20, 50, 100, 200))
ROUNDS = Counter("eloket_rounds_total", "Rounds that were written")
COLLISIONS = Counter("eloket_collisions_total", "Entries that met a duplicate key in a round")
STORE_SECONDS = Histogram(
    "eloket_store_seconds",
    "From a message's arrival in this process until it was stored and its event published",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30),
)
FIRST_ANSWER = Histogram(
    "eloket_transcripts_first_answer_seconds",
    "From the opening of a chat until its first message of an agent was stored",
    ["department"],
    buckets=(5, 10, 15, 30, 60, 120, 300, 600, 1800),
)
ATTACHMENTS = Counter("eloket_attachments_total", "Uploads by what came of them", ["outcome"])
RESCANS = Counter(
    "eloket_transcripts_rescans_total", "Stored files that were scanned again before a download", ["outcome"]
)
INACTIVITY = Counter(
    "eloket_transcripts_silences_total",
    "Steps of citizens' inactivity: warnings, answers and closings, each once",
    ["step"],
)
QUESTIONS = Counter("eloket_transcripts_questions_total", "Questions left, dealt with, and opened again", ["step"])
RATINGS = Counter("eloket_transcripts_ratings_total", "Chats that their citizens rated", ["department"])
RENDERS = Counter("eloket_transcripts_rendered_total", "Transcripts that were handed out", ["format"])
RENDER_SECONDS = Histogram("eloket_transcript_render_seconds", "Time to make one transcript", ["format"])
HISTORIES_PUT_OFF = Counter(
    "eloket_transcripts_histories_put_off_total", "Pages of a log that were not read, since too many asked for that log"
)
RETENTION_DELETED = Counter(
    "eloket_transcripts_retention_deleted_total",
    "Chats and questions from which something was deleted because its period had ended",
    ["category"],
)
RETENTION_RUN = Gauge(
    "eloket_transcripts_retention_run_timestamp_seconds", "When the job of retention was done last, in any replica"
)
RETENTION_CONFIRMED = Gauge(
    "eloket_transcripts_retention_confirmed",
    "1 when the operator has confirmed the retention periods of the department, else 0",
    ["department"],
)
UNSIGNED_AGE = Gauge(
    "eloket_transcripts_unsigned_oldest_seconds",
    "Since when the chat has ended that waits longest for the signature of its end, of all replicas; 0: none waits",
)
UNUSUAL_READING = Counter(
    "eloket_transcripts_unusual_reading_total",
    "Times that an agent has read more chats within an hour than is usual",
)
ACCESS_LOGGED = Counter("eloket_transcripts_access_logged_total", "Entries of the access log that this process wrote")
OUTBOX_ATTEMPTS = Counter(
    "eloket_transcripts_outbox_attempts_total",
    "Attempts to deliver to a target of the integrations file: delivered, failed, dead",
    ["target", "outcome"],
)
OUTBOX_DUE = Gauge(
    "eloket_transcripts_outbox_due", "Deliveries of a target that are not made yet, of all replicas", ["target"]
)
OUTBOX_AGE = Gauge(
    "eloket_transcripts_outbox_oldest_seconds",
    "Age of the oldest delivery of a target that is not made yet",
    ["target"],
)
OUTBOX_DEAD = Gauge(
    "eloket_transcripts_outbox_dead", "Dead letters of a target: deliveries that are not tried any more", ["target"]
)
OUTBOX_CIRCUIT = Gauge(
    "eloket_transcripts_outbox_circuit_open",
    "1 while this process rests from a target that failed several times in a row, else 0",
    ["target"],
)
IDENTIFICATIONS = Counter(
    "eloket_transcripts_identifications_total",
    "Steps of identifications of citizens in chats: asked, identified, declined, failed",
    ["step"],
)
for _step in IdentificationStep:
    IDENTIFICATIONS.labels(_step.value)
CLIENT_LOGINS = Counter(
    "eloket_transcripts_client_authentications_total",
    "Authentications of clients of the read API: granted, refused",
    ["outcome"],
)
for _outcome in ("granted", "refused"):  # exported from the start: the first is an increase
    CLIENT_LOGINS.labels(_outcome)
CLIENT_READS = Counter(
    "eloket_transcripts_client_reads_total",
    "Pages that a client of the read API has read: statistics, chats, questions",
    ["client", "kind"],
)
CLIENT_TRANSCRIPTS = Counter(
    "eloket_transcripts_client_transcripts_total",
    "Transcripts that a client of the read API asked for: read, not_found, not_ended, rate_limited, failed",
    ["client", "outcome"],
)
