"""The tables of Stentor's own database, the same on SQLite and PostgreSQL.

Rules: all names begin with `stentor_`, so that the store can live in an app's database. Times are epoch seconds. Text
is a `StorableText`, so that nothing that is written has to be looked at before.
Counts aren't kept beside what they count: they are sums over `batches`, so they can't drift from it. A change here
needs a migration (`store/migrations`); a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    event,
    text,
)
from sqlalchemy.types import TypeEngine

from stentor.store.text import StorableText

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _key(longest: int | None = None) -> TypeEngine[str]:
    """Text that is compared by its bytes on every database, so that keys come in the same order everywhere."""
    return StorableText(longest).with_variant(StorableText(longest, collation="C"), "postgresql")


KEY = _key()
LONGEST_KEY, LONGEST_REASON, LONGEST_DETAIL = 512, 200, 1000
"""Characters of a failure's texts that are kept. PostgreSQL takes a row into an index only if it is shorter than 2,700
bytes there, so that what an app or a provider says could stop all that is written with it."""

campaigns = Table(
    "stentor_campaigns",
    METADATA,
    Column("id", KEY, primary_key=True),
    Column("title", StorableText, nullable=False),
    Column("state", StorableText, nullable=False),
    Column("content", LargeBinary, nullable=False),  # JSON: the message, its translations
    Column("audience", LargeBinary, nullable=False),  # JSON: a `Selection`
    Column("problem", StorableText),  # why it failed, or why it was paused other than by somebody
    Column("collapse_id", StorableText, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("starts_at", Double),  # when it starts or started; the message's lifetime counts from here
    Column("expires_at", Double),
    Column("finished_at", Double),
    Column("expected", LargeBinary),  # JSON: recipients by lane, as counted before the start
    Column("planned", Boolean, nullable=False, server_default=text("false")),  # no more of the audience will be read
    Column("max_rate", Double),  # pushes a second of all lanes together; NULL: as fast as they allow
    Column("paused", Double, nullable=False, server_default=text("0")),  # seconds of its pauses that are over
    Column("revision", Integer, nullable=False, server_default=text("0")),  # how often it was changed as a draft
    Column("paused_at", Double),  # since when it is paused; NULL where it isn't
    Column("held_until", Double),  # when its start was to be possible at the earliest, if it was held; else NULL
    Column("released_at", Double),  # since when those go on who wait for a release; NULL: they wait
    Column("asked_start", Double),  # `starts_at` as it was before the start, which may have been held for longer
    Column("kind", StorableText, nullable=False, server_default=text("'campaign'")),  # a `states.CampaignKind`
    Column("timing", LargeBinary),  # JSON: a `planning.contract.Timing`; NULL: everybody at once
    Column("addresses", LargeBinary),  # MessagePack: those that a message is for (`audience.listed.Addresses`)
    Column("pause_above", Double),  # the share of failures on a lane above which it pauses by itself; NULL: never
    Column("pause_from", LargeBinary),  # JSON: by lane, what it had when it was resumed (`recording.failure_share`)
    Column("care", LargeBinary),  # JSON: whom it leaves alone (`store.caring.CareSettings`); NULL: nobody in particular
    Column("same_as", KEY),  # the first campaign that sent its message, if it sends that again; NULL: its own
    Column("template_name", StorableText),  # the saved template that it was made from; NULL: none
    Column("template_version", Integer),
    Index(None, "state"),
    Index(None, "kind", "created_at"),
    Index(None, "finished_at"),
)

WAVES = "w"
"""How the chains of waves begin; all others read the audience, and begin with a digit."""

chains = Table(  # how far each chain of plan steps has come
    "stentor_chains",
    METADATA,
    Column("campaign_id", KEY, ForeignKey("stentor_campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("chain", KEY, primary_key=True),
    Column("step", Integer, nullable=False),  # the next one to be done
    Column("read", Integer, nullable=False, server_default=text("0")),
    Column("done", Boolean, nullable=False, server_default=text("false")),
    Column(
        "next", LargeBinary
    ),  # MessagePack: the next step (`planning.planner.Step`); where it is done, what was left unread
)

batches = Table(  # the counts before the columns: SQLite walks through a blob to reach what is behind it
    "stentor_batches",
    METADATA,
    Column("id", KEY, primary_key=True),
    Column("campaign_id", KEY, ForeignKey("stentor_campaigns.id", ondelete="CASCADE"), nullable=False),
    Column("lane", StorableText, nullable=False),
    Column("size", Integer, nullable=False),
    Column("pending", Integer, nullable=False),
    Column("accepted", Integer, nullable=False, server_default=text("0")),
    Column("rejected", Integer, nullable=False, server_default=text("0")),
    Column("expired", Integer, nullable=False, server_default=text("0")),
    Column("cancelled", Integer, nullable=False, server_default=text("0")),
    Column("ambiguous", Integer, nullable=False, server_default=text("0")),
    Column("planned_at", Double, nullable=False),
    Column("recorded_at", Double),
    Column("waiting", LargeBinary),  # MessagePack: of those to be tried again (`recording.contract.Waiting`)
    Column("edition", StorableText),  # which of the batches of this id that may be queued is the one that was planned
    Column("outcomes", LargeBinary),  # a byte for each recipient (`Outcome`); NULL: all pending
    Column("recipients", LargeBinary, nullable=False),  # MessagePack: the keys, in the batch's order
    Column("wave", Double),  # of one that is held: when its wave begins; NULL: it is in the queue, or was
    Column("gated", Boolean, nullable=False, server_default=text("false")),  # held until a release as well
    Column("expires_at", Double),  # after which nothing of it is sent; NULL: as the campaign says
    Column("first_key", LargeBinary),  # how the least of the keys begins, by its bytes; NULL: of before it was kept
    Column("last_key", LargeBinary),  # the same of the greatest
    Index("ix_stentor_batches_keys", "campaign_id", "first_key", "last_key"),
    Index(None, "campaign_id", "lane"),
    Index(
        "ix_stentor_batches_held",
        "campaign_id",
        "wave",
        sqlite_where=text("wave IS NOT NULL"),
        postgresql_where=text("wave IS NOT NULL"),
    ),
    Index(
        "ix_stentor_batches_pending",
        "campaign_id",
        sqlite_where=text("pending > 0"),
        postgresql_where=text("pending > 0"),
    ),
)

receipts = Table(  # what the providers of chats gave for the messages they took, to edit or delete them by
    "stentor_receipts",
    METADATA,
    Column("batch_id", KEY, ForeignKey("stentor_batches.id", ondelete="CASCADE"), primary_key=True),
    Column("campaign_id", KEY, nullable=False),
    Column("receipts", LargeBinary, nullable=False),  # MessagePack: in the batch's order (`recording.contract.Receipt`)
    Index(None, "campaign_id"),
)

failures = Table(  # a row for each recipient that ended other than accepted or cancelled
    "stentor_failures",
    METADATA,
    Column("batch_id", KEY, ForeignKey("stentor_batches.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("campaign_id", KEY, nullable=False),
    Column("lane", StorableText, nullable=False),
    Column("installation", _key(LONGEST_KEY), nullable=False),
    Column("outcome", Integer, nullable=False),
    Column("reason", StorableText(LONGEST_REASON), nullable=False),
    Column("status", Integer, nullable=False),
    Column("detail", StorableText(LONGEST_DETAIL), nullable=False),
    Column("dead", Boolean, nullable=False),  # the address will never work again
    Column("tries", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Index(None, "campaign_id", "installation"),
    Index("ix_stentor_failures_kind", "campaign_id", "lane", "reason", "outcome", "dead", "batch_id"),
)

lanes = Table(  # what a lane's senders need to tell each other and the operator
    "stentor_lanes",
    METADATA,
    Column("lane", KEY, primary_key=True),
    Column("problem", StorableText),  # why it doesn't send; NULL where it does
    Column("remedy", StorableText),
    Column("since", Double),
    Column("until", Double),  # when it is tried again
    Column("waiting", BigInteger),  # how many wait at least, if only some of its hosts are silent; NULL: all of it
)

budgets = Table(  # what the senders of a lane share; see `pace.pacing`
    "stentor_budgets",
    METADATA,
    Column("lane", KEY, primary_key=True),
    Column("document", LargeBinary, nullable=False),  # JSON: a `Sheet`
    Column("revision", BigInteger, nullable=False),  # a higher one with each change
)

flags = Table(  # what all processes must know; see `store.flags`
    "stentor_flags",
    METADATA,
    Column("name", KEY, primary_key=True),
    Column("value", StorableText),  # NULL: not set
    Column("at", Double, nullable=False),  # when that was last changed
)

schema = Table(  # one row; see `store.migrate.COMPATIBLE_WITH`
    "stentor_schema",
    METADATA,
    Column("compatible", StorableText, nullable=False),
)

tasks = Table(  # the queue
    "stentor_tasks",
    METADATA,
    Column("id", KEY, primary_key=True),
    Column("lane", StorableText, nullable=False),
    Column("campaign_id", KEY, nullable=False),
    Column("ready_at", Double, nullable=False),  # not to be taken before; the end of its lease while it is leased
    Column("lease", StorableText),  # who holds it; NULL: nobody
    Column("deliveries", Integer, nullable=False, server_default=text("0")),  # since it was put or released
    Column("urgent", Boolean, nullable=False, server_default=text("false")),  # goes before all others of its lane
    Index(None, "lane", "ready_at"),
    Index(
        "ix_stentor_tasks_urgent",
        "lane",
        "ready_at",
        sqlite_where=text("urgent = 1"),
        postgresql_where=text("urgent"),
    ),
    Index(None, "campaign_id"),
)

payloads = Table(  # apart from the tasks: SQLite writes a whole row again, blob and all, to change its lease
    "stentor_payloads",
    METADATA,
    Column("id", KEY, ForeignKey("stentor_tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("payload", LargeBinary, nullable=False),
)

_STORED_AS_IT_IS = "ALTER TABLE stentor_payloads ALTER COLUMN payload SET STORAGE EXTERNAL"
event.listen(  # tokens hardly get smaller, and trying to costs 1.7 ms of the 2.3 that a task of 75 KB takes
    payloads,
    "after_create",
    DDL(_STORED_AS_IT_IS).execute_if(dialect="postgresql"),  # type: ignore[no-untyped-call]  # SQLAlchemy's
)

dead_letters = Table(
    "stentor_dead_letters",
    METADATA,
    Column("id", KEY, primary_key=True),
    Column("lane", StorableText, nullable=False),
    Column("campaign_id", KEY, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("reason", StorableText, nullable=False),
    Column("deliveries", Integer, nullable=False),
    Column("at", Double, nullable=False),
)

installations = Table(  # the embedded registry
    "stentor_installations",
    METADATA,
    Column("id", KEY, primary_key=True),
    Column("channel", StorableText, nullable=False),
    Column("app", StorableText),
    Column("address", StorableText, nullable=False),
    Column("language", StorableText),
    Column("time_zone", StorableText),
    Column("attributes", StorableText),  # a JSON object
    Column("registered_at", Double),
    Column("dead_at", Double),
    Column("dead_reason", StorableText),
    # An installation is in one of these two, so that lists of whatever kind are read in the order of an index.
    Index(
        "ix_stentor_installations_alive",
        "channel",
        "app",
        "id",
        sqlite_where=text("dead_at IS NULL"),
        postgresql_where=text("dead_at IS NULL"),
    ),
    Index(
        "ix_stentor_installations_dead",
        "channel",
        "app",
        "id",
        sqlite_where=text("dead_at IS NOT NULL"),
        postgresql_where=text("dead_at IS NOT NULL"),
    ),
)

replies = Table(  # what was answered to requests with an `Idempotency-Key`; see `store.replies`
    "stentor_replies",
    METADATA,
    Column("owner", KEY, primary_key=True),  # the caller's id
    Column("key", KEY, primary_key=True),
    Column("question", LargeBinary, nullable=False),  # SHA-256 of what was asked
    Column("reserved", StorableText, nullable=False),  # the id of whatever the request makes
    Column("token", StorableText, nullable=False),  # who works on it
    Column("until", Double, nullable=False),  # and for how long it is believed
    Column("status", Integer),  # NULL: not answered yet
    Column("headers", LargeBinary),  # JSON
    Column("body", LargeBinary),
    Column("at", Double, nullable=False),  # when it was first asked
    Index(None, "at"),
)

segments = Table(  # conditions over installations that people saved
    "stentor_segments",
    METADATA,
    Column("name", KEY, primary_key=True),
    Column("segment", StorableText, nullable=False),  # as `audience.segments.written` writes it
    Column("created_at", Double, nullable=False),
    Column("changed_at", Double, nullable=False),
)

series = Table(  # recurring campaigns; each has a draft of its own id, of the kind `series`
    "stentor_series",
    METADATA,
    Column("id", KEY, ForeignKey("stentor_campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("name", KEY, nullable=False),
    Column("cron", StorableText, nullable=False),
    Column("zone", StorableText, nullable=False),  # as `zones.zone_of` reads it
    Column("missed", StorableText, nullable=False),  # a `store.series.Missed`
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    Column("next_at", Double),  # when the next run is due; NULL: it is paused, or there is none
    Column("revision", Integer, nullable=False, server_default=text("0")),  # how often it was changed
    Column("created_at", Double, nullable=False),
    Column("changed_at", Double, nullable=False),
    Index(None, "name", unique=True),
    Index(None, "next_at"),
)

series_runs = Table(  # what became of each run of a series
    "stentor_series_runs",
    METADATA,
    Column("series_id", KEY, ForeignKey("stentor_series.id", ondelete="CASCADE"), primary_key=True),
    Column("due", Double, primary_key=True),
    Column("campaign_id", KEY, nullable=False),  # whether or not there is such a campaign (`store.series.run_id`)
    Column("state", StorableText, nullable=False),  # a `store.series.RunState`
    Column("reason", StorableText),  # why it was not sent, or why it is tried again
    Column("runs", Integer, nullable=False, server_default=text("1")),  # of a stretch that was missed: how many
    Column("at", Double, nullable=False),  # when it was claimed, or got its state
    Column("until", Double, nullable=False, server_default=text("0")),  # for how long a scheduler has it to itself
    Index(
        "ix_stentor_series_runs_due",
        "until",
        sqlite_where=text("state = 'due'"),
        postgresql_where=text("state = 'due'"),
    ),
)

opt_outs = Table(  # who said no to a category of messages, or to all
    "stentor_opt_outs",
    METADATA,
    Column("hash", KEY, primary_key=True),  # of the installation's key (`store.opt_outs.hash_of`), in hex
    Column("category", KEY, primary_key=True),  # `caps.EVERYTHING`: all categories
    Column("installation", KEY),  # its key; NULL: it was erased, and its no stays
    Column("at", Double, nullable=False),
    Index(None, "installation", "category"),
)

exclusion_lists = Table(  # lists of installations that campaigns leave out
    "stentor_exclusion_lists",
    METADATA,
    Column("name", KEY, primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("changed_at", Double, nullable=False),
)

exclusions = Table(
    "stentor_exclusions",
    METADATA,
    Column("list", KEY, ForeignKey("stentor_exclusion_lists.name", ondelete="CASCADE"), primary_key=True),
    Column("installation", KEY, primary_key=True),
    Index(None, "installation"),
)

templates = Table(  # messages that people saved
    "stentor_templates",
    METADATA,
    Column("name", KEY, primary_key=True),
    Column("version", Integer, nullable=False),  # the newest that there ever was
    Column("deleted", Boolean, nullable=False),  # its row stays, so that its name keeps counting
    Column("created_at", Double, nullable=False),
)

template_versions = Table(
    "stentor_template_versions",
    METADATA,
    Column("name", KEY, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),  # JSON, as in a campaign
    Column("title", StorableText, nullable=False),
    Column("saved_at", Double, nullable=False),
    Column("saved_by", StorableText, nullable=False),  # the name of a user, of a key, or of somebody on the machine
    Column("restored", Integer),  # the version that it is a copy of
)

api_keys = Table(  # what programs prove themselves with
    "stentor_keys",
    METADATA,
    Column("id", KEY, primary_key=True),
    Column("name", StorableText, nullable=False),
    Column("scope", StorableText, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", StorableText, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("last_used_at", Double),  # to a minute
)

key_secrets = Table(  # a key has several while it is rolled
    "stentor_key_secrets",
    METADATA,
    Column("hash", KEY, primary_key=True),  # SHA-256 of the whole text, in hex
    Column("key_id", KEY, ForeignKey("stentor_keys.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("until", Double),  # when it was replaced, and how long it is still valid; NULL: the newest one
    Column("last_used_at", Double),
    Index(None, "key_id"),
)

users = Table(  # people who sign in to the dashboard
    "stentor_users",
    METADATA,
    Column("id", KEY, primary_key=True),
    Column("name", StorableText, nullable=False),
    Column("folded", KEY, nullable=False),  # the name without case: no two are alike
    Column("role", StorableText, nullable=False),
    Column("password", StorableText),  # argon2id; NULL: none was set, or another provider signs them in
    Column("password_at", Double),
    Column("issuer", KEY),  # the OpenID provider that signs them in
    Column("subject", KEY),  # … and who they are there
    Column("created_at", Double, nullable=False),
    Column("created_by", StorableText, nullable=False),
    Column("disabled_at", Double),
    Column("signed_in_at", Double),
    Index(None, "folded", unique=True),
    Index(None, "issuer", "subject", unique=True),
)

sessions = Table(
    "stentor_sessions",
    METADATA,
    Column("id", KEY, primary_key=True),
    Column("hash", KEY, nullable=False),  # SHA-256 of the cookie, in hex
    Column("user_id", KEY, ForeignKey("stentor_users.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("used_at", Double, nullable=False),  # to a minute
    Column("ends_at", Double, nullable=False),
    Index(None, "hash", unique=True),
    Index(None, "user_id"),
    Index(None, "ends_at"),
)

links = Table(  # each sets a password, once
    "stentor_links",
    METADATA,
    Column("hash", KEY, primary_key=True),  # SHA-256 of its token, in hex
    Column("user_id", KEY, ForeignKey("stentor_users.id", ondelete="CASCADE")),  # NULL: it makes the first admin
    Column("created_at", Double, nullable=False),
    Column("ends_at", Double, nullable=False),
    Column("used_by", StorableText),  # the request that used it
    Index(None, "user_id"),
    Index(None, "ends_at"),
)

attempts = Table(  # failed sign-ins in a row, by user name and by network address; neither can be read from it
    "stentor_attempts",
    METADATA,
    Column("name", KEY, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("until", Double, nullable=False),  # no further attempt before
    Column("at", Double, nullable=False),
    Index(None, "at"),
)

signing_keys = Table(  # random keys that all processes share
    "stentor_signing_keys",
    METADATA,
    Column("name", KEY, primary_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("at", Double, nullable=False),
)

actions = Table(  # who did what
    "stentor_actions",
    METADATA,
    Column("id", KEY, primary_key=True),  # sorts by time
    Column("at", Double, nullable=False),
    Column("caller_id", KEY, nullable=False),
    Column("caller_name", StorableText, nullable=False),
    Column("caller_kind", StorableText, nullable=False),
    Column("action", KEY, nullable=False),
    Column("object", KEY, nullable=False),  # the id of what it was done to; empty: nothing in particular
    Column("outcome", StorableText, nullable=False),
    Column("detail", StorableText, nullable=False),
    Index(None, "caller_id", "id"),
    Index(None, "action", "id"),
    Index(None, "object", "id"),
    Index(None, "outcome", "id"),
)

report_events = Table(  # what happened that people are told of, as it is told; see `reporting.outbox`
    "stentor_report_events",
    METADATA,
    Column("id", KEY, primary_key=True),
    Column("kind", StorableText, nullable=False),
    Column("campaign_id", KEY, ForeignKey("stentor_campaigns.id", ondelete="CASCADE")),
    Column("lane", KEY),
    Column("at", Double, nullable=False),
    Column("document", LargeBinary, nullable=False),  # JSON: a `reporting.events.ReportEvent`
    Index(None, "campaign_id"),
    Index(None, "lane", "at"),
)

report_deliveries = Table(  # an event on its way to one target
    "stentor_report_deliveries",
    METADATA,
    Column("event_id", KEY, ForeignKey("stentor_report_events.id", ondelete="CASCADE"), primary_key=True),
    Column("target", KEY, primary_key=True),
    Column("status", StorableText, nullable=False),  # `waiting`, `sent` or `failed`
    Column("created_at", Double, nullable=False),
    Column("begun_at", Double, nullable=False),  # when trying began; later than `created_at` after a replay
    Column("ready_at", Double, nullable=False),  # not to be tried before; the end of its lease while it is leased
    Column("lease", StorableText),  # who tries it now; NULL: nobody
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("tried_at", Double),
    Column("answer_status", Integer),  # the HTTP status of the last answer, where there was one
    Column("answer", StorableText),  # how the last answer begins, or why there was none
    Index(
        "ix_stentor_report_deliveries_waiting",
        "target",
        "ready_at",
        sqlite_where=text("status = 'waiting'"),
        postgresql_where=text("status = 'waiting'"),
    ),
    Index(None, "created_at"),
)

role_processes = Table(  # the processes that do a role's work, as they show themselves; see `store.role_processes`
    "stentor_role_processes",
    METADATA,
    Column("id", KEY, primary_key=True),
    Column("role", StorableText, nullable=False),
    Column("host", StorableText, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("version", StorableText, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("lanes", LargeBinary),  # JSON: of a sender, what it says of each of its lanes (`store.role_processes`)
)
