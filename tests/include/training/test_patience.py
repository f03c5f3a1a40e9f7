"""MLflow that is away is asked again for a while; any other error passes at once."""

from __future__ import annotations

import pytest
import requests
from mlflow.exceptions import MlflowException, RestException

from include.errors import InputError, UnavailableError
from include.training.patience import ask_again, mlflow_answering


def test_it_is_asked_until_it_answers() -> None:
    answers, said = [UnavailableError("MLflow must answer"), UnavailableError("MLflow must answer"), None], []

    def work() -> str:
        if error := answers.pop(0):
            raise error
        return "done"

    assert ask_again(work, patience_s=60, say=said.append, pause_s=0) == "done"
    assert len(said) == 2
    assert said[0].startswith("waiting for MLflow, 60 s more at most: MLflow must answer")


def test_patience_ends() -> None:
    def work() -> None:
        raise UnavailableError("MLflow must answer")

    with pytest.raises(UnavailableError, match="MLflow must answer"):
        ask_again(work, patience_s=0.05, say=lambda said: None, pause_s=0.01)


def test_another_error_is_not_waited_out() -> None:
    said: list[str] = []

    def work() -> None:
        raise InputError("a rule")

    with pytest.raises(InputError):
        ask_again(work, patience_s=60, say=said.append)
    assert said == []


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectionError("refused"),
        MlflowException("API request to http://127.0.0.1:1 failed"),
        RestException({"error_code": "TEMPORARILY_UNAVAILABLE", "message": "later"}),
    ],
)
def test_a_client_s_word_for_away_becomes_ours(error: Exception) -> None:
    with pytest.raises(UnavailableError, match="MLflow must answer"), mlflow_answering("closecast"):
        raise error


def test_a_client_s_word_for_a_fault_of_ours_passes() -> None:
    fault = RestException({"error_code": "INVALID_PARAMETER_VALUE", "message": "no"})
    with pytest.raises(RestException), mlflow_answering("closecast"):
        raise fault
