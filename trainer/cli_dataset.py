"""What the verbs that read a dataset have in common: a zip is unpacked visibly."""

from pathlib import Path

from trainer.cli_progress import Ticker
from trainer.data.archive import is_archive, unpacked


def unpack_visibly(dataset: Path) -> None:
    """Unpack a zip, with progress; what opens it afterwards finds it unpacked.

    Args:
        dataset: A folder, with which nothing is done, or a zip.

    Raises:
        DatasetError: The zip is damaged, harmful, or there is no room for it.
    """
    if not is_archive(dataset):
        return
    tickers: list[Ticker] = []

    def show(done: int, total: int) -> None:
        if not tickers:
            tickers.append(Ticker("unpack", total))
        tickers[0].tick(done)

    try:
        unpacked(dataset, show)
    finally:
        for ticker in tickers:
            ticker.close()
