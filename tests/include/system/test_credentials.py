"""Keys and password: private, stable, never shown by repr."""

import json

import pytest

from include.errors import InputError
from include.system.credentials import load_login, load_secrets, passwords_file


def test_the_password_is_made_once_and_readable_by_its_owner_only(settings):
    first, second = load_login(settings), load_login(settings)
    assert (first.is_new, second.is_new) == (True, False)
    assert first.password == second.password
    assert len(first.password) >= 16
    assert json.loads(passwords_file(settings).read_text()) == {"admin": first.password}
    assert passwords_file(settings).stat().st_mode & 0o777 == 0o600
    assert settings.run_dir.stat().st_mode & 0o777 == 0o700


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
