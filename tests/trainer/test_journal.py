"""The journal: what is written down is sent once, whatever ends the process in between."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hypersweep_trainer.journal import Entry, Journal


def step(number: int, **metrics: float) -> Entry:
    """Metrics of one step."""
    return Entry("step", number, 1000 + number, metrics or {"loss": 0.5})


def journal(folder: Path, *, run: str | None = "r", entries: int = 0) -> Journal:
    """A journal with so many new steps."""
    made = Journal(folder, run=run)
    for number in range(entries):
        made.append(step(number + 1))
    return made


@contextmanager
def full_disk(file: Path, *, room: int = 0) -> Iterator[None]:
    """No file grows further than `file` and so many bytes more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_next_attempt_sends_what_is_left(tmp_path: Path) -> None:
    """In order, and with the time at which it was measured."""
    journal(tmp_path, entries=3).taken(1)
    assert journal(tmp_path).first(10) == [step(2), step(3)]


def test_what_an_earlier_attempt_measured_is_not_measured_again(tmp_path: Path) -> None:
    """A step that is repeated after a kill keeps its first values; the step after it is new."""
    journal(tmp_path, entries=3).taken(3)
    second = journal(tmp_path)
    assert [second.append(step(number, loss=9.0)) for number in (2, 3, 4)] == [False, False, True]
    assert second.first(10) == [step(4, loss=9.0)]


def test_another_run_receives_all_of_it(tmp_path: Path) -> None:
    """A run that was prepared anew has the whole curve."""
    journal(tmp_path, entries=3).taken(3)
    assert len(journal(tmp_path, run="another")) == 3


def test_an_own_run_is_found_again(tmp_path: Path) -> None:
    """Also if nothing but its making succeeded."""
    journal(tmp_path, run=None, entries=1).belongs_to("made")
    again = journal(tmp_path, run=None)
    assert (again.run, len(again)) == ("made", 1)


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    """A process that was killed while writing costs that line, and the next one stands by itself."""
    journal(tmp_path, entries=2)
    file = tmp_path / "journal.jsonl"
    file.write_bytes(file.read_bytes()[:-7])
    second = journal(tmp_path)
    second.append(step(2))
    assert journal(tmp_path).first(10) == [step(1), step(2)]


@pytest.mark.parametrize("torn", [b'["step", 2, 10', b"\0" * 40, b"2", b'["step", 2]', b'[2, "step", {}, 1]', b"\xff"])
def test_a_torn_line_in_the_middle_costs_that_line(
    torn: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As a machine that goes down, or a full disk, leaves it: all others are sent, and it is said how many are lost."""
    journal(tmp_path, entries=4).taken(1)
    file = tmp_path / "journal.jsonl"
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"\n".join([lines[0], torn, *lines[2:], b""]))
    assert journal(tmp_path).first(10) == [step(3), step(4)]
    assert [record.message for record in caplog.records] == [
        f"journal {file}: 1 of 4 lines can't be read and are left out"
    ]


@pytest.mark.parametrize("torn", [0, 2])
def test_what_was_sent_is_known_whatever_line_is_torn(torn: int, tmp_path: Path) -> None:
    """One that was sent before it was torn, or one that was to be sent: nothing else is lost, or sent twice."""
    journal(tmp_path, entries=4).taken(2)
    file = tmp_path / "journal.jsonl"
    lines = file.read_bytes().splitlines()
    lines[torn] = lines[torn][:9]
    file.write_bytes(b"\n".join([*lines, b""]))
    second = journal(tmp_path)
    second.append(step(5))
    left = [step(number) for number in (3, 4, 5) if number != torn + 1]
    assert second.first(10) == left
    second.taken(1)
    assert journal(tmp_path).first(10) == left[1:]


def test_a_disk_that_refuses_costs_the_file_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Results wait in memory, and it is said once."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    made = journal(blocked, entries=3)
    assert len(made) == 3
    assert caplog.text.count("results wait in memory only") == 1


@pytest.mark.parametrize("room", [0, 9])
def test_a_disk_that_was_full_has_every_line_afterwards(room: int, tmp_path: Path) -> None:
    """Those that it refused, also one of which it took a piece, and in their order."""
    made = journal(tmp_path, entries=1)
    with full_disk(tmp_path / "journal.jsonl", room=room):
        for number in (2, 3):
            made.append(step(number))
    made.append(step(4))
    assert journal(tmp_path).first(10) == [step(number) for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("room", [0, 9])
def test_what_was_sent_while_the_disk_was_full_hides_nothing(room: int, tmp_path: Path) -> None:
    """The results that follow once it has room are sent, and only they."""
    made = journal(tmp_path, entries=1)
    with full_disk(tmp_path / "journal.jsonl", room=room):
        for number in (2, 3):
            made.append(step(number))
        made.taken(3)
    made.append(step(4))
    assert journal(tmp_path).first(10) == [step(4)]


def test_a_kill_while_the_disk_is_full_hides_nothing(tmp_path: Path) -> None:
    """Lines that come in the place of those that were sent and never written are sent, also by an attempt after next."""
    made = journal(tmp_path, entries=1)
    with full_disk(tmp_path / "journal.jsonl"):
        for number in (2, 3):
            made.append(step(number))
        made.taken(3)
    second = journal(tmp_path)
    for number in (4, 5):
        second.append(step(number))
    assert journal(tmp_path).first(10) == [step(4), step(5)]


@pytest.mark.parametrize("torn", [b"", b'{"run": "r", "se', b"\0" * 24, b"3", b'{"run": "r"}', b"\xff"])
def test_a_count_that_cannot_be_read_sends_all_again(
    torn: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As a machine that goes down leaves it: nothing is lost, and it is said."""
    journal(tmp_path, entries=3).taken(2)
    (tmp_path / "journal.sent").write_bytes(torn)
    second = journal(tmp_path)
    assert second.first(10) == [step(1), step(2), step(3)]
    assert caplog.text.count("all results are sent again") == 1
    second.taken(3)
    assert journal(tmp_path).first(10) == []


def test_the_count_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each batch that was delivered, and never for a step."""
    synced: list[tuple[str, bytes]] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        synced.extend((file.name, file.read_bytes()) for file in tmp_path.glob("*.new"))

    monkeypatch.setattr("os.fsync", noted)
    made = journal(tmp_path, entries=3)
    assert synced == []
    made.taken(2)
    assert synced == [("journal.new", b'{"run": "r", "sent": 2}')]


def test_lines_that_cannot_be_counted_get_none_behind_them(tmp_path: Path) -> None:
    """What an attempt can't read waits for the next one, which sends all of it."""
    journal(tmp_path, entries=3)
    file, aside = tmp_path / "journal.jsonl", tmp_path / "aside"
    file.rename(aside)
    file.mkdir()
    second = journal(tmp_path)
    file.rmdir()
    aside.rename(file)
    second.append(step(4))
    second.taken(1)
    assert journal(tmp_path).first(10) == [step(1), step(2), step(3)]


def test_a_request_is_not_too_large(tmp_path: Path) -> None:
    """At most so many points, but always one entry."""
    made = journal(tmp_path)
    for number in range(1, 5):
        made.append(step(number, a=1.0, b=2.0, c=3.0))
    assert [entry.step for entry in made.first(7)] == [1, 2]
    assert [entry.step for entry in made.first(1)] == [1]
