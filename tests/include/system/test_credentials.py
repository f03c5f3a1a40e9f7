"""Keys and password: private, stable, never shown by repr."""

import json

import pytest
from pydantic import SecretStr

from include.errors import InputError
from include.system.credentials import (
    load_login,
    load_mlflow_passwords,
    load_secrets,
    mlflow_passwords_file,
    passwords_file,
    use_own_mlflow,
)


def test_the_password_is_made_once_and_readable_by_its_owner_only(settings):
    first, second = load_login(settings), load_login(settings)
    assert (first.is_new, second.is_new) == (True, False)
    assert first.password == second.password
    assert len(first.password) >= 16
    assert json.loads(passwords_file(settings).read_text()) == {"admin": first.password}
    assert passwords_file(settings).stat().st_mode & 0o777 == 0o600
    assert settings.run_dir.stat().st_mode & 0o777 == 0o700


def test_mlflows_users_have_passwords_of_their_own(settings):
    made = load_mlflow_passwords(settings)
    assert set(made) == {"admin", "promoter", "reader", "closecast"}
    assert load_mlflow_passwords(settings) == made
    assert len({each.get_secret_value() for each in made.values()}) == 4
    assert mlflow_passwords_file(settings).stat().st_mode & 0o777 == 0o600
    assert not [each for each in made.values() if each.get_secret_value() in repr(made)]


def test_the_own_mlflow_is_reached_as_its_service_or_as_who_is_set(settings):
    url = "http://127.0.0.1:15000"
    own = use_own_mlflow(settings, url)
    assert (own.tracking_uri, own.mlflow_username) == (url, "closecast")
    assert own.mlflow_password == load_mlflow_passwords(settings)["closecast"]
    ada = settings.model_copy(update={"mlflow_username": "ada", "mlflow_password": SecretStr("lovelace")})
    assert use_own_mlflow(ada, url) == ada.model_copy(update={"mlflow_tracking_uri": url})


def test_keys_are_stable_private_and_differ_between_homes(settings, tmp_path):
    keys = load_secrets(settings)
    assert load_secrets(settings) == keys
    assert (settings.run_dir / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert load_secrets(settings.model_copy(update={"home": tmp_path / "other"})) != keys


def test_no_secret_is_in_a_repr(settings):
    keys, login = load_secrets(settings), load_login(settings)
    shown = repr(keys) + repr(login)
    assert not [each for each in (*vars(keys).values(), login.password) if each in shown]


def test_a_home_that_cannot_be_made_is_refused(settings, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"home must be a folder that can be written.*CLOSECAST_HOME"):
        load_login(settings.model_copy(update={"home": tmp_path / "file" / "home"}))
