"""Downloads of the charts: tables as CSV, pictures as zip. All are streamed."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from dashboard.history.analysis import Selection
from dashboard.history.database import Database
from dashboard.history.exports import Picture, defect_rows, pictures
from dashboard.messages import iso_utc
from dashboard.plant_time import PlantTime
from dashboard.web.analysis.figures import Ranking, Trend
from dashboard.web.csv_export import csv_chunks

PICTURES_MAX = 1000  # of at most 128 kB each
INDEX_NAME = "pictures.csv"
ZIP_FIRST_YEAR = 1980  # of the time of a file in a zip

TableRow = Sequence[object]

TREND_COLUMNS = (
    *("start_utc", "end_utc", "start_local", "parts", "defective", "rate"),
    *("center", "lower_limit", "upper_limit", "sigma_z", "ewma", "ewma_lower_limit"),
    *("ewma_upper_limit", "broken_rules", "not_inspected"),
)
RANKING_COLUMNS = ("by", "site", "line", "station", "camera", "name", "defects")
DEFECT_COLUMNS = (
    *("time_utc", "time_local", "alert", "site", "line", "station", "camera"),
    *("part", "model", "build", "class", "score", "x1", "y1", "x2", "y2"),
    *("verdict", "verdict_class"),
)
PICTURE_COLUMNS = (
    *("file", "time_utc", "alert", "site", "line", "station", "camera"),
    *("classes", "verdict"),
)


def trend_rows(trend: Trend, plant: PlantTime) -> Iterator[TableRow]:
    """Yield the numbers of both control charts; rates 0..1."""
    for index, (span, rate) in enumerate(
        zip(trend.groups.spans, trend.rates, strict=True)
    ):
        point, smooth = trend.laney.points[index], trend.ewma.points[index]
        rules = sorted({each.rule for each in trend.broken if each.index == index})
        yield (
            iso_utc(span.start_ms),
            iso_utc(span.end_ms),
            plant.local(span.start_ms).isoformat(),
            rate.n,
            rate.count,
            rate.value,
            trend.laney.center,
            point.low if point else None,
            point.high if point else None,
            trend.laney.sigma_z,
            smooth.value if smooth else None,
            smooth.low if smooth else None,
            smooth.high if smooth else None,
            " ".join(rules),
            trend.not_inspected[index],
        )


def ranking_rows(rankings: dict[str, Ranking]) -> Iterator[TableRow]:
    """Yield the numbers of all Pareto charts."""
    for kind, ranking in rankings.items():
        is_place = kind in {"line", "camera"}
        for names, count in ranking:
            place = (*names, *("",) * (4 - len(names))) if is_place else ("",) * 4
            yield (kind, *place, names[-1], count)


def defect_lines(
    database: Database, wanted: Selection, plant: PlantTime
) -> Iterator[TableRow]:
    """Yield a row for each defect, the oldest first."""
    for each in defect_rows(database, wanted):
        yield (
            iso_utc(each.happened_ms),
            plant.local(each.happened_ms).isoformat(timespec="milliseconds"),
            each.alert_id,
            *each.where,
            each.part_id,
            each.model,
            each.build,
            each.label,
            each.score,
            *each.box,
            each.verdict,
            each.verdict_label,
        )


def pictures_zip(
    database: Database, wanted: Selection, most: int = PICTURES_MAX
) -> Iterator[bytes]:
    """Yield a zip with the newest pictures of a selection, and a table of them.

    It is not compressed: the pictures are JPEGs. Only one is in memory at a time.

    Args:
        most: Number of pictures.
    """
    sink = _Sink()
    rows: list[TableRow] = []
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for picture in pictures(database, wanted, most):
            name = file_name(picture)
            archive.writestr(zipfile.ZipInfo(name, _zip_time(picture)), picture.jpeg)
            rows.append(
                (
                    name,
                    iso_utc(picture.happened_ms),
                    picture.alert_id,
                    *picture.where,
                    " ".join(dict.fromkeys(picture.labels)),
                    picture.verdict,
                )
            )
            yield sink.taken()
        table = b"".join(csv_chunks(PICTURE_COLUMNS, rows))
        archive.writestr(zipfile.ZipInfo(INDEX_NAME), table)
    yield sink.taken()


def file_name(picture: Picture) -> str:
    """Return the name of a picture in a zip.

    It holds names of stations, which are plain, and no class: that may be any text.
    """
    at = datetime.fromtimestamp(picture.happened_ms / 1000, UTC)
    _, line, station, camera = picture.where
    return f"{at:%Y%m%dT%H%M%SZ}_{line}_{station}_{camera}_{picture.n}.jpg"


def _zip_time(picture: Picture) -> tuple[int, int, int, int, int, int]:
    at = datetime.fromtimestamp(picture.happened_ms / 1000, UTC)
    if at.year < ZIP_FIRST_YEAR:
        return (ZIP_FIRST_YEAR, 1, 1, 0, 0, 0)
    return (at.year, at.month, at.day, at.hour, at.minute, at.second)


class _Sink(io.RawIOBase):
    """A file that is written from front to end, and emptied meanwhile."""

    def __init__(self) -> None:
        self._content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content: object) -> int:
        data = bytes(content)  # type: ignore[call-overload]
        self._content += data
        return len(data)

    def taken(self) -> bytes:
        content = bytes(self._content)
        self._content.clear()
        return content
