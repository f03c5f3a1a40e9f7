"""Settings come from variables and a .env file, keep secrets to themselves, and have a fingerprint."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from include.errors import InputError
from include.settings import Settings, load_settings

SECRET = "https://hooks.slack.com/services/T0/B0/do-not-print-me"


@pytest.fixture(autouse=True)
def _away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults_put_all_state_under_one_folder(tmp_path: Path) -> None:
    settings = Settings()
    assert settings.home == tmp_path / ".closecast"
    paths = ["inbox", "kept", "lake", "published", "model_cache", "mlflow_home", "airflow_home", "run_dir"]
    assert {getattr(settings, name).parent for name in paths} == {settings.home}
    assert len({getattr(settings, name) for name in paths}) == len(paths)
    assert settings.tracking_uri == f"sqlite:///{tmp_path}/.closecast/mlflow/mlflow.db"
    assert (settings.inbox_url, settings.kept_url) == (str(settings.home / "inbox"), str(settings.home / "uploads"))
    assert (settings.has_object_store, settings.poke_s) == (False, 1.0)


def test_uploads_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSECAST_UPLOADS", "share/daily")
    settings = Settings()
    assert settings.inbox == tmp_path / "share" / "daily" / "inbox"
    assert settings.kept == tmp_path / "share" / "daily" / "kept"
    assert not settings.has_object_store


def test_uploads_in_an_object_store() -> None:
    settings = Settings(uploads="s3://bucket/daily/")
    assert (settings.inbox_url, settings.kept_url) == ("s3://bucket/daily/inbox", "s3://bucket/daily/kept")
    assert (settings.has_object_store, settings.poke_s) == (True, 5.0)
    assert Settings(uploads="s3://bucket", upload_poke_s=2).poke_s == 2.0
    for name in ("inbox", "kept"):
        with pytest.raises(InputError, match="must land in a folder.*s3://bucket/daily.*CLOSECAST_UPLOADS"):
            getattr(settings, name)


@pytest.mark.parametrize("uploads", ["gs://bucket", "s3://", "http://x/y"])
def test_uploads_elsewhere_are_refused(uploads: str) -> None:
    with pytest.raises(ValidationError, match="uploads must be"):
        Settings(uploads=uploads)


def test_credentials_in_the_address_of_uploads_are_refused_and_not_repeated() -> None:
    with pytest.raises(InputError, match="must not hold credentials") as caught:
        Settings(uploads="s3://key:do-not-print-me@bucket/daily")
    assert "do-not-print-me" not in str(caught.value)


def test_no_uploads_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSECAST_UPLOADS", "")
    assert Settings().uploads is None


@pytest.mark.parametrize("odd", ["100%", "a\\b", "[x]", "x\ny", "x\udcff"])
def test_a_home_where_no_table_can_lie_is_refused(tmp_path: Path, odd: str) -> None:
    with pytest.raises(ValidationError, match="home's path must not hold"):
        Settings(home=tmp_path / odd)
    assert Settings(home=tmp_path / "a b-ü (1)").home.name == "a b-ü (1)"


def test_an_empty_variable_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSECAST_HOME", "")
    monkeypatch.setenv("CLOSECAST_FIRST_SESSION", "")
    assert Settings().home == tmp_path / ".closecast"
    assert Settings().first_session is None


def test_variables_set_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSECAST_HOME", str(tmp_path / "there"))
    monkeypatch.setenv("CLOSECAST_CALENDAR", "XNYS")
    monkeypatch.setenv("CLOSECAST_FIRST_SESSION", "2018-06-01")
    monkeypatch.setenv("CLOSECAST_MLFLOW_TRACKING_URI", "http://localhost:5000")
    settings = Settings()
    assert settings.home == tmp_path / "there"
    assert (settings.calendar, settings.first_session) == ("XNYS", date(2018, 6, 1))
    assert settings.tracking_uri == "http://localhost:5000"


def test_a_file_sets_them_and_a_variable_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("CLOSECAST_SEED=11\nCLOSECAST_THREADS=3\nOTHER=x\n")
    monkeypatch.setenv("CLOSECAST_THREADS", "4")
    settings = Settings()
    assert (settings.seed, settings.threads) == (11, 4)


def test_a_relative_home_does_not_move_with_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    settings = Settings(home=Path("here"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert settings.home == tmp_path / "here"


def test_a_secret_is_in_no_text_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOSECAST_SLACK_WEBHOOK_URL", SECRET)
    settings = Settings()
    assert settings.slack_webhook_url.get_secret_value() == SECRET
    for text in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert "do-not-print-me" not in text


@pytest.mark.parametrize(
    "connection",
    [
        json.dumps({"conn_type": "http", "password": SECRET}),
        f"http://:{quote(SECRET, safe='')}@",
        "",
        "{}",
        "[]",
        "none",
    ],
)
def test_airflows_connection_of_the_environment_is_the_webhook(
    monkeypatch: pytest.MonkeyPatch, connection: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CLOSECAST_SLACK", connection)
    found = Settings(_env_file=None).slack_webhook_url
    assert (found and found.get_secret_value()) == (SECRET if len(connection) > len(SECRET) else None)
    monkeypatch.setenv("CLOSECAST_SLACK_WEBHOOK_URL", "https://another")
    assert Settings(_env_file=None).slack_webhook_url.get_secret_value() == "https://another"


@pytest.mark.parametrize(
    ("name", "value"),
    [("close_delay_s", "-1"), ("threads", "0"), ("universe_sessions", "1"), ("date_order", "Y/M/D"), ("seed", "x")],
)
def test_a_bad_value_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"CLOSECAST_{name.upper()}", value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert caught.value.errors()[0]["loc"] == (name,)


def test_settings_cannot_be_changed_under_their_readers() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().seed = 3


CHANGES = {
    "calendar": "XNYS",
    "universe_sessions": 30,
    "holdout_sessions": 10,
    "train_windows": 2000,
    "seed": 8,
    "model_name": "other",
}


@pytest.mark.parametrize(("name", "value"), CHANGES.items())
def test_the_fingerprint_changes_with_what_can_change_a_forecast(name: str, value: object) -> None:
    assert Settings(**{name: value}).fingerprint() != Settings().fingerprint()


def test_the_fingerprint_is_that_of_the_same_choice_anywhere(tmp_path: Path) -> None:
    here = Settings(**CHANGES)
    there = Settings(
        **dict(reversed(CHANGES.items())), home=tmp_path / "x", airflow_port=1, slack_webhook_url=SECRET, threads=9
    )
    assert here.fingerprint() == there.fingerprint()
    # SHA-256 of the default choice as JSON, by sha256sum: another value breaks the tie to forecasts already made.
    assert Settings().fingerprint() == "671174f0f5633939"


def test_a_process_reads_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    load_settings.cache_clear()
    try:
        first = load_settings()
        monkeypatch.setenv("CLOSECAST_SEED", "99")
        assert load_settings() is first
    finally:
        load_settings.cache_clear()
