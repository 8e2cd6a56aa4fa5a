import pytest

from deploy.transports.sftp_batch import PutFile, quoted, send_entry, send_files

HOSTILE = 'a "b" \\ *?[x] $(reboot) \'; rm -rf'


def test_files_are_continued_where_the_line_pc_has_their_start() -> None:
    files = [PutFile("aa", is_resumed=True), PutFile("bb", is_resumed=False)]
    assert send_files("/srv/slot/inbox", files).splitlines() == [
        'cd "/srv/slot/inbox"',
        'cd ".files"',
        'reput "files/aa" "aa"',
        'put "files/bb" "bb"',
    ]


def test_entry_is_renamed_last() -> None:
    files = [("metadata/1.root.json", "metadata/1.root.json"), ("/own/r", "request")]
    assert send_entry("/inbox", "one", files).splitlines() == [
        'cd "/inbox"',
        'mkdir ".partial-one"',
        'mkdir ".partial-one/metadata"',
        'put "metadata/1.root.json" ".partial-one/metadata/1.root.json"',
        'put "/own/r" ".partial-one/request"',
        'rename ".partial-one" "one"',
    ]


def test_hostile_folder_stays_one_argument() -> None:
    assert quoted(HOSTILE) == '"a \\"b\\" \\\\ *?[x] $(reboot) \'; rm -rf"'


@pytest.mark.parametrize("name", ["a\nput x", "a\0b", "a\x1b[2J"])
def test_name_that_would_start_another_command_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be printed"):
        quoted(name)
