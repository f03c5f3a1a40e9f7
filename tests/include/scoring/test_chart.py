"""The chart's file, read as the chart reads it."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest

from include.forecast import forecast_session
from include.ingest.ingest import ingest_upload
from include.scoring.chart import publish_chart
from include.scoring.score import score_session
from tests.conftest import TrainedHome
from tests.include.conftest import Own

LAST = date(2024, 3, 26)


@pytest.fixture
def lived(own: Own, trained_home: TrainedHome) -> Own:
    """Two sessions forecast, the second scored twice."""
    score_session(own.settings, LAST)
    day = LAST + timedelta(days=1)
    ingest_upload(own.settings, trained_home.uploads[day])
    score_session(own.settings, day)
    forecast_session(own.settings, day, asked_by="here")
    return own


def test_the_chart_draws_forecasts_beside_what_came(lived: Own) -> None:
    path = lived.settings.published / "preds.csv"
    frame = pd.read_csv(path)
    assert list(frame.columns[:5]) == ["symbol", "index", "date", "pred_open", "val_open"]
    indexed = frame.set_index(["symbol", "index"])
    assert indexed.index.is_unique
    one = indexed.xs("sim03")
    assert one.index.tolist() == [0, 1]
    assert one["date"].tolist() == ["2024-03-27", "2024-03-28"]
    assert one["pred_open"].notna().all()
    assert one["val_open"].notna().tolist() == [True, False]
    bar = pd.read_csv(lived.settings.published / "2024-03-27.csv").set_index("symbol").loc["sim03"]
    assert one.loc[1, "pred_open"] == pytest.approx(bar["pred_open"])


def test_published_files_go_where_else_they_are_wanted(lived: Own, bucket: str) -> None:
    import os

    from pyarrow.fs import FileSelector, S3FileSystem

    settings = lived.settings.model_copy(update={"publish_to": f"{bucket}/forecasts"})
    publish_chart(settings)
    forecast_session(settings, LAST + timedelta(days=1), asked_by="here")
    store = S3FileSystem(endpoint_override=os.environ["AWS_ENDPOINT_URL"])
    found = store.get_file_info(FileSelector(bucket.removeprefix("s3://"), recursive=True))
    names = {info.base_name for info in found if info.is_file}
    assert names == {"preds.csv", "2024-03-27.csv", "2024-03-27.parquet"}
    with store.open_input_stream(f"{bucket.removeprefix('s3://')}/forecasts/preds.csv") as stream:
        assert stream.read() == (settings.published / "preds.csv").read_bytes()
