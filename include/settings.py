"""Every setting of Closecast, read from CLOSECAST_* variables and a `.env` file in the working directory.

State lives under one folder, `home`; each path below it is a property here, so that no other module spells one.
"""

from __future__ import annotations

import hashlib
import json
import os
from datetime import date
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from include.errors import InputError

OBJECT_SCHEME = "s3://"
_UNADDRESSABLE = "%\\[]|^?#"
"""Where deltalake 1 opens another path or none (tried, each), and what ends the path in MLflow's addresses."""

SHAPING = {"calendar", "universe_sessions", "holdout_sessions", "train_windows", "seed", "model_name"}
"""Settings that can change a forecast: no paths, ports or secrets."""

PROJECT_ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Settings of one installation; `CLOSECAST_` and the field's name in capitals sets each."""

    model_config = SettingsConfigDict(
        env_prefix="CLOSECAST_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    home: Path = Field(Path(".closecast"), description="Folder that holds all state.")
    uploads: str | None = Field(
        None,
        description="Where uploads land (below it in inbox) and are kept (in kept): a folder or s3://bucket/prefix;"
        " by default inbox and uploads of the home.",
    )
    publish_to: str | None = Field(
        None, description="A folder or s3://bucket/prefix that published files are copied to, under the same names."
    )
    upload_poke_s: float | None = Field(
        None, gt=0, description="Seconds between looks for an upload: 1 in a folder, 5 in an object store by default."
    )
    upload_settle_s: float = Field(
        2.0, ge=0, description="An upload is whole once unchanged for so long, where the system cannot tell by a lease."
    )
    store_retry_s: float = Field(
        90.0, ge=0, description="How long an object store that does not answer is asked again."
    )
    calendar: str = Field("24/7", description="An exchange_calendars name: 24/7, XNYS, ...")
    close_delay_s: int = Field(60, ge=0, description="Seconds from a session's close to its market_close run.")
    first_session: date | None = Field(None, description="First session that market_close is scheduled for.")
    last_session: date | None = Field(None, description="Last session that market_close is scheduled for.")
    upload_timeout_s: int = Field(6 * 3600, ge=1, description="How long market_close waits for a session's upload.")
    open_sessions: int = Field(
        16, ge=1, le=1000, description="Runs of market_close at once; one that waits for its upload counts."
    )
    date_order: str | None = Field(None, description="How 7/2/2018 is read where a file leaves it open: M/D or D/M.")
    universe_sessions: int = Field(60, ge=2, description="A symbol is in the universe if seen in so many sessions.")
    models: str | None = Field(None, description="Models that a retrain fits, separated by commas; all by default.")
    holdout_sessions: int = Field(
        60, ge=1, description="Newest sessions that no model is fitted on, and all are judged on; the gate needs 20."
    )
    backtest_origins: int = Field(
        4, ge=1, le=20, description="Times that a retrain fits each model, over the held-out sessions; 1: once."
    )
    train_windows: int = Field(300_000, ge=1000, description="Most windows a model is fitted on, a seeded sample.")
    expectations: Path | None = Field(
        None, description="YAML file of expectations, in place of include/quality/expectations.yaml."
    )
    shards: int = Field(1, ge=1, le=1000, description="Tasks that one scoring run is split over, by symbol.")
    threads: int = Field(2, ge=1, description="Threads of ONNX Runtime, Arrow and TensorFlow in one task.")
    leak_correlation: float = Field(
        0.6, gt=0, le=1, description="A retrain is refused where a column's rank correlation with a target is above it."
    )
    leak_margin: float = Field(
        0.08, gt=0, le=1, description="The same of the leak tests early_column and leaning_close (docs/models.md)."
    )
    seed: int = Field(7, description="Seed of every random choice in training.")
    registry_wait_s: float = Field(
        120.0, ge=0, description="How long a retrain asks again while MLflow does not answer."
    )
    model_name: str = Field("closecast", description="The registered model in MLflow.")
    mlflow_tracking_uri: str | None = Field(
        None, repr=False, description="MLflow server; by default the local SQLite store."
    )
    mlflow_username: str | None = Field(None, description="User of the MLflow server; by default the home's own.")
    mlflow_password: SecretStr | None = Field(None, description="That user's password.")
    airflow_port: int | None = Field(None, description="Port of Airflow's pages; that of the last start by default.")
    mlflow_port: int | None = Field(None, description="Port of MLflow's pages; that of the last start by default.")
    upload_due_s: int = Field(
        2 * 3600, ge=1, description="Seconds from a session's close after which an upload that has not come is told of."
    )
    stuck_after_s: int = Field(
        90 * 60, ge=60, description="A run is stuck when nothing of it has begun or ended for so many seconds."
    )
    watch_every_s: int = Field(180, ge=10, description="Seconds between two runs of watch_system.")
    watch_look_s: float = Field(5.0, gt=0, description="Seconds between two looks of the watcher outside Airflow.")
    watch_airflow_url: str | None = Field(
        None, description="Airflow's address as the watcher reaches it; that of the home's own system by default."
    )
    prediction_url: str | None = Field(
        None, description="An address of the prediction API that answers 200 while it is well; not watched by default."
    )
    disk_free_mb: int = Field(1024, ge=0, description="The home's disk counts as full when less than this is free.")
    ping_url: SecretStr | None = Field(
        None, description="The watcher calls it (GET) while it can look and tell: a dead man's switch."
    )
    ping_every_s: float = Field(60.0, gt=0, description="Seconds between two such calls.")
    symbol_changes: Path | None = Field(
        None, description="CSV of renames and redenominations; symbol_changes.csv in the home by default."
    )
    audit_window_days: int = Field(400, ge=1, description="Every version of a table of so many days stays readable.")
    upload_retention_days: int | None = Field(
        None, ge=1, description="Kept uploads older than this are removed by maintain_lake; never by default."
    )
    retrain_on_breach: bool = Field(
        False, description="Whether watch_forecasts starts retrain_weekly when a watched signal comes into breach."
    )
    slack_webhook_url: SecretStr | None = Field(
        None, validate_default=True, description="Slack incoming webhook for incidents and notices."
    )
    slack_webhooks: SecretStr | None = Field(
        None, description="Others by severity: critical=https://..., info=https://... (docs/alerts.md)."
    )
    slack_bot_token: SecretStr | None = Field(
        None, description="A bot's token (chat:write) in place of a webhook: messages are edited, recoveries threaded."
    )
    slack_channel: str | None = Field(None, description="The bot's channel, best as its id: C0123456789.")
    slack_channels: str | None = Field(None, description="Others by severity: critical=C0ONCALL, info=C0FEED.")
    slack_mentions: str | None = Field(
        "critical=here", description="Who is mentioned, by severity: here, channel, a user's or a group's id."
    )
    slack_api_url: str = Field("https://slack.com/api/", description="Slack's Web API, for the bot.")
    alerts_url: SecretStr | None = Field(
        None, description="Database of incidents, SQLite or Postgres; by default alerts/alerts.db in the home."
    )
    alerts_off: str | None = Field(None, description="Kinds that are kept and not told, by commas (docs/alerts.md).")
    alerts_on: str | None = Field(None, description="Kinds told that are not by default, for one forecasts_published.")
    alerts_repeat_h: float = Field(
        24.0, gt=0, description="An incident that goes on is told again after so many hours, if it is reported again."
    )
    alerts_group_s: float = Field(
        3.0, ge=0, description="A message waits so long for more of its incident, such as a run's other failed tasks."
    )
    alerts_quiet: str | None = Field(
        None, description="Quiet hours, 22:00-07:00: all but critical is told after them, rolled up."
    )
    alerts_maintenance: str | None = Field(
        None, description="Windows in which nothing is told till their end: Sun 02:00-04:00, 2026-12-01T20:00/PT2H."
    )
    alerts_timezone: str = Field("UTC", description="Zone of quiet hours and maintenance: Europe/Berlin.")
    forecast_deadline_s: int = Field(
        4 * 3600, ge=1, description="Seconds from a session's close by which its forecasts must be out."
    )
    docs_url: str | None = Field(None, description="Where the folder docs/ is served, for links to runbooks.")
    airflow_url: str | None = Field(None, description="Airflow's address as people reach it, for links in messages.")

    @field_validator("home", "expectations")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path and path.expanduser().absolute()

    @field_validator("home")
    @classmethod
    def _addressable(cls, home: Path) -> Path:
        if odd := sorted({char for char in str(home) if char in _UNADDRESSABLE or not char.isprintable()}):
            named = " ".join(ascii(char) for char in odd)
            raise ValueError(f"the home's path must not hold {named}: the addresses of tables and models cannot")
        return home

    @field_validator("uploads", "publish_to")
    @classmethod
    def _known_store(cls, address: str | None, info: ValidationInfo) -> str | None:
        if not address:  # an empty variable is none
            return None
        name = info.field_name or ""
        if address.startswith(OBJECT_SCHEME):
            if "@" in address:  # not a ValueError: pydantic would hand on the value, and the command line print it
                rule = f"{name} must not hold credentials (see docs/uploads.md)"
                raise InputError(rule, place=f"CLOSECAST_{name.upper()}")
            if not address.removeprefix(OBJECT_SCHEME).strip("/"):
                raise ValueError(f"{name} must be s3://bucket/prefix")
            return address.rstrip("/")
        if "://" in address:
            raise ValueError(f"{name} must be a folder or s3://bucket/prefix. Received: {address.split('://')[0]}://")
        return str(Path(address).expanduser().absolute())

    @field_validator("slack_webhook_url", mode="before")
    @classmethod
    def _connected(cls, url: object) -> object:
        return url or _read_slack_connection()

    @field_validator("date_order")
    @classmethod
    def _known_order(cls, order: str | None) -> str | None:
        if order not in (None, "M/D", "D/M"):
            raise ValueError(f"date_order must be M/D or D/M. Received: {order}")
        return order

    @property
    def inbox_url(self) -> str:
        """Where uploads land, a folder or an s3:// address: names contain the session, 2018-06-01.csv for one."""
        return f"{self.uploads}/inbox" if self.uploads else str(self.home / "inbox")

    @property
    def kept_url(self) -> str:
        """Where uploads are kept as they came, named by their SHA-256: a folder or an s3:// address."""
        return f"{self.uploads}/kept" if self.uploads else str(self.home / "uploads")

    @property
    def adhoc_url(self) -> str:
        """Where files wait that are to be answered and are no uploads of a session: below the inbox, never ingested."""
        return f"{self.inbox_url}/adhoc"

    @property
    def has_object_store(self) -> bool:
        """Whether uploads land in an object store, and not in a folder."""
        return bool(self.uploads and self.uploads.startswith(OBJECT_SCHEME))

    @property
    def poke_s(self) -> float:
        """Seconds between looks for an upload: a listing of an object store costs money, a look into a folder none."""
        return self.upload_poke_s or (5.0 if self.has_object_store else 1.0)

    @property
    def inbox(self) -> Path:
        """The folder where uploads land.

        Raises
        ------
        InputError
            They land in an object store.
        """
        return self._folder(self.inbox_url)

    @property
    def kept(self) -> Path:
        """The folder where uploads are kept.

        Raises
        ------
        InputError
            They are kept in an object store.
        """
        return self._folder(self.kept_url)

    def _folder(self, url: str) -> Path:
        if self.has_object_store:
            raise InputError("uploads must land in a folder for this", value=url, place="CLOSECAST_UPLOADS")
        return Path(url)

    @property
    def scratch(self) -> Path:
        """Files that live as long as the process that made them."""
        return self.home / "scratch"

    @property
    def lake(self) -> Path:
        """The folder of the Delta tables."""
        return self.home / "lake"

    @property
    def symbol_changes_file(self) -> Path:
        """The table of renames and redenominations; a home may do without."""
        return self.symbol_changes or self.home / "symbol_changes.csv"

    @property
    def references(self) -> Path:
        """Every file of symbol changes that a scoring run went by, named by its SHA-256."""
        return self.home / "references"

    @property
    def scoring(self) -> Path:
        """Plans and parts of scoring runs that are under way."""
        return self.home / "scoring"

    @property
    def published(self) -> Path:
        """Forecasts as files, one CSV and one Parquet a session."""
        return self.home / "published"

    @property
    def answers(self) -> Path:
        """Answers to files that are no part of the lake, named by their SHA-256 and the model's version."""
        return self.home / "answers"

    @property
    def data_docs(self) -> Path:
        """Pages of the newest validations; `index.html` lists them."""
        return self.home / "data_docs"

    @property
    def monitoring(self) -> Path:
        """Episodes in which a watched signal of the forecasts was in breach."""
        return self.home / "monitoring"

    @property
    def reports(self) -> Path:
        """A page for each session: what its forecasts were worth, drift, data quality."""
        return self.home / "reports"

    @property
    def backtests(self) -> Path:
        """What `closecast backtest` wrote, a folder for each span of sessions."""
        return self.home / "backtests"

    @property
    def model_cache(self) -> Path:
        """Artifacts of resolved versions, verified by hash."""
        return self.home / "models"

    @property
    def training(self) -> Path:
        """Records of the newest retrains, a folder each."""
        return self.home / "training"

    @property
    def mlflow_home(self) -> Path:
        """MLflow's database and artifacts."""
        return self.home / "mlflow"

    @property
    def airflow_home(self) -> Path:
        """Airflow's database, logs and configuration."""
        return self.home / "airflow"

    @property
    def alerts(self) -> Path:
        """Incidents and the messages that wait, beside the lake."""
        return self.home / "alerts"

    @property
    def run_dir(self) -> Path:
        """State of the running system: ports, process ids, component logs, the admin password."""
        return self.home / "run"

    @property
    def tracking_uri(self) -> str:
        """The MLflow server if one is set, else the SQLite store below `home`."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.mlflow_home / 'mlflow.db'}"

    def describe_shaping(self) -> str:
        """Return what can change a forecast as JSON text: settings without paths, ports or secrets."""
        return self.model_dump_json(include=SHAPING)

    def fingerprint(self) -> str:
        """Hash of what can change a forecast: settings (no paths, ports or secrets) and the table of symbol changes."""
        found = hashlib.sha256(self.describe_shaping().encode())
        if self.symbol_changes_file.is_file():
            found.update(self.symbol_changes_file.read_bytes())
        return found.hexdigest()[:16]


def _read_slack_connection() -> str | None:
    """Take the webhook from Airflow's connection `closecast_slack`, where the environment gives it.

    One in Airflow's database does not count: who tells that Airflow is dead cannot ask it.
    """
    said = os.environ.get("AIRFLOW_CONN_CLOSECAST_SLACK", "")
    try:
        connection = json.loads(said)
    except ValueError:
        return unquote(urlsplit(said).password or "") or None
    return connection.get("password") if isinstance(connection, dict) else None


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """Read the settings once for this process."""
    return Settings()
