"""Every story that ships is played, uses the closed lists up, fails when the product is wrong; mistakes in a story are named.

The stories are `tests/scenarios/*.yaml` (docs/simulators.md says how to write one); the world that they are played in is
`simulators.universe`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from agent.faults import FAULTS
from simulators.universe import command, expect, phrases, scenario
from simulators.universe.breaks import BREAKS
from simulators.universe.judge import INVARIANTS
from simulators.universe.play import play

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.yaml"))


def shipped(name: str) -> scenario.Story:
    return scenario.load(HERE / f"{name}.yaml")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_story_is_well(path):
    told: list[str] = []
    outcome = play(scenario.load(path), told.append)
    assert outcome.well, "\n".join([*told, *outcome.wrong])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_story_says_what_it_is_about(path):
    """A name, a purpose, and something that somebody sees; or a broken rule that the judge must see."""
    story = scenario.load(path)
    assert story.name != str(path)
    assert story.says.endswith(".")
    assert story.broken or any(step.expect for step in story.steps)


# --------------------------------------------------------------------------- nothing is left out


def _done() -> set[str]:
    """Phrases that some story does, or lets end by itself."""
    found = set()
    for path in FILES:
        for step in scenario.load(path).steps:
            if step.do:
                row, _, lasts_us = phrases.understand(step.do)
                found |= {row.words} | ({phrases.understand(row.undo)[0].words} if lasts_us is not None else set())
    return found


def test_every_phrase_is_used_by_a_story():
    assert {row.words for row in phrases.PHRASES} == _done()


def test_every_question_is_asked_by_a_story():
    assert set(expect.QUESTIONS) == {key for path in FILES for step in scenario.load(path).steps for key in step.expect}


UNTOLD = {
    "camera-missing": "a board without the role: the settings' business (tests/agent/pipeline)",
    "nothing-to-record": "as above",
    "microphone-missing": "as above",
    "locator-missing": "as above",
    "climate-missing": "as above",
    "scanner-missing": "as above",
    "button-missing": "as above",
    "indicator-missing": "as above",
    "power-missing": "as above",
    "certificate-missing": "the device's folder without its certificates: the settings' business",
    "journal-tampered": "somebody at the card in a reader: the adversary's (simulators/adversary)",
    "journal-contradicts": "for the second before journal 2 begins, which is told by its own alarm",
    "journal-differs": "as journal-tampered",
    "server-refuses": "a server that refuses what its own ledger names: tests/agent/uplink",
    "media-damaged": "bytes that change on the card: the adversary's",
    "disk-slow": "virtual disks take no time: tests/agent/pipeline",
    "disk-unwritable": "a virtual disk that is mounted read-only still says how full it is: tests/hal, tests/scenarios/hostile",
    "ring-short": "the world's capture has no ring: tests/agent/capture",
    "encoder-fault": "the world's encoder is slow, never broken: tests/agent/capture",
}
"""Faults of which no story can tell, and who does."""


def test_every_fault_that_a_world_can_have_is_told_by_a_story():
    """By the display or by `status`, as the officer and the administrator meet it."""
    asked = []
    for path in FILES:
        for step in scenario.load(path).steps:
            status = step.expect.get("status")
            asked += [step.expect.get("screen", ""), status.get("alarms", "") if isinstance(status, dict) else ""]
    told = {found[0] for one in asked if len(found := [name for name, fault in FAULTS.items() if _names(one, fault.says)]) == 1}
    assert told | set(UNTOLD) == set(FAULTS)
    assert not told & set(UNTOLD)


def _names(part: str, says: str) -> bool:
    """Whether the part is the fault's sentence with its figures, or some words of it."""
    pieces = re.split(r"{\w+}", says)
    return bool(part) and (any(part in piece for piece in pieces) or re.fullmatch(".+".join(map(re.escape, pieces)), part) is not None)


# --------------------------------------------------------------------------- stories fail where the product is wrong

SEEN_IN = {
    "journal is not synced": "power-cut-while-idle",
    "card loses what it synced": "power-cut-while-idle",
    "lines change on the way": "orders",
    "numbers are skipped": "marks-and-stills",
    "age by the wall clock": "clock-jumps-three-years-ahead",
    "gaps are not written": "camera-unplugged",
    "nothing is uploaded": "agent-restarted",
    "media are sent twice": "network-off-for-an-hour",
    "a daemon fails": "battery-runs-out",
    "a daemon never rests": "agent-restarted",
    "receipts come early": "power-cut-while-recording",
    "server writes zeros": "index-broken",
    "server forgets": "server-killed-at-its-commits",
}


def test_every_rule_that_can_be_broken_is_broken_in_a_story():
    of_their_own = {scenario.load(path).broken for path in FILES} - {""}
    assert set(SEEN_IN) | of_their_own == set(BREAKS)


@pytest.mark.parametrize(("broken", "name"), SEEN_IN.items(), ids=SEEN_IN)
def test_a_story_is_not_well_when_a_rule_of_the_product_is_broken(broken, name):
    story = replace(shipped(name), broken=broken, fails=BREAKS[broken].seen_by)
    outcome = play(story)
    assert outcome.faults, "nobody saw it"
    assert outcome.faults[0][0] == story.fails
    assert story.fails in INVARIANTS


@pytest.mark.parametrize(
    ("name", "expected", "instead", "said"),
    [
        ("power-cut-while-recording", {"lamp": "ready"}, {"lamp": "recording"}, "lamp: expected recording, got ready"),
        ("battery-runs-out", {"screen": "battery low"}, {"screen": "all is well"}, "screen: expected all is well, got REC"),
        ("camera-unplugged", {"felt": "alarm"}, {"felt": "stop"}, "felt: expected stop, got long, short-short-short"),
        (
            "camera-unplugged",
            {"line": "camera-lost"},
            {"line": {"kind": "camera", "event": "found"}},
            "got 0 such lines; of that kind: {at:",
        ),
        ("agent-restarted", {"no line": "gap"}, {"no line": {"kind": "boot"}}, "no line: expected {kind: boot}, got {at:"),
        ("orders", {"refused": "older"}, {"refused": {"older": "0"}}, "refused: expected {older: 0}, got {older: 1}"),
        ("purge-by-age", {"deleted": "1"}, {"deleted": "2"}, "deleted: expected 2, got 1 deleted recordings"),
        ("marks-and-stills", {"waiting": "nothing"}, {"waiting": "something"}, "waiting: expected something, got nothing"),
        ("marks-and-stills", {"stored": "1"}, {"stored": "2"}, "stored: expected 2, got receipts for 1 recordings"),
    ],
    ids=lambda value: None if isinstance(value, dict) else str(value)[:30],
)
def test_another_answer_than_expected_is_said(name, expected, instead, said):
    """The world is the same; who expects something else is told what is so."""
    story = shipped(name)
    changed = [
        replace(step, expect=instead, within_us=0)
        if step.expect and all(str(value) in expect.shown(step.expect.get(key, "")) for key, value in expected.items())
        else step
        for step in story.steps
    ]
    assert changed != list(story.steps)
    outcome = play(story.with_steps(tuple(changed)))
    assert not outcome.well
    assert not outcome.faults
    assert any(said in one for one in outcome.wrong), outcome.wrong


# --------------------------------------------------------------------------- what testers are told

PAGES = {page: (HERE.parents[1] / "docs" / page).read_text("utf-8") for page in ("simulators.md", "simulators.zh-CN.md")}
FIRST_COLUMN = re.compile(r"(?m)^\| `([^`]+)`( …)? \|")


@pytest.fixture(params=PAGES)
def page(request) -> str:
    return PAGES[request.param].partition("## Stories")[2] or PAGES[request.param]


def shown_in(page: str, *titles: str) -> list[tuple[str, str]]:
    """The first column of the table below a title, with its `…`."""
    section = re.split("|".join(rf"\n#+ {title}\n" for title in titles), page)[1].split("\n## ")[0].split("\n### ")[0]
    return FIRST_COLUMN.findall(section)


def test_the_page_names_every_phrase_every_question_and_every_promise(page):
    rows = shown_in(page, "What may happen", "可以发生什么")
    places = {f"{{{name}}}": words for name, words in phrases.CHOICES.items()}
    assert [row for row in rows if row[0][0] != "{"] == [(row.words, " …" if row.undo else "") for row in phrases.PHRASES]
    assert [words for words, _ in rows if words[0] == "{"] == [*places, "{span}", "{percent}", "{number}"]
    for place, words in places.items():
        assert f"| `{place}` | {', '.join(f'`{word}`' for word in words)} |" in page
    assert [words for words, _ in shown_in(page, "What may be asked", "可以问什么")] == list(expect.QUESTIONS)
    assert [words for words, _ in shown_in(page, "What is asked always", "始终检查什么")] == list(INVARIANTS)


def test_the_page_gives_the_meanings_of_the_code():
    told = PAGES["simulators.md"]
    for row in phrases.PHRASES:
        assert f"| {row.means} |" in told
    for key, question in expect.QUESTIONS.items():
        assert f"| `{key}` | {question.value} | {question.means} |" in told
    for promise, sentence in INVARIANTS.items():
        assert f"| `{promise}` | {sentence} |" in told


def test_the_page_names_what_may_stand_in_a_file(page):
    section = re.split(r"\n#+ (?:Write one|写一个)\n", page)[1].split("\n## ")[0].split("\n### ")[0]
    assert set(re.findall(r"`(\w+)`", "".join(re.findall(r"(?m)^\|([^|]*)\|", section)))) == set(scenario.MEMBERS)
    assert all(f"`{name}`" in section for name in scenario.SETTINGS)
    assert all(f"`{name}" in page for name in scenario.STEP)


def test_the_pages_story_is_well_and_is_told_as_shown(page):
    blocks = [block.replace("\n    ", "\n").strip() for block in re.findall(r"(?m)^((?:    .*\n)+)", page)]
    (written,) = (block for block in blocks if block.startswith("name:"))
    (shown,) = (block for block in blocks if block.startswith("The cable comes off"))
    told: list[str] = []
    outcome = play(scenario.parse(written), told.append)
    assert outcome.well, outcome.wrong
    assert shown.splitlines()[2:] == [f"  {sentence}" for sentence in told[: len(shown.splitlines()) - 2]]


# --------------------------------------------------------------------------- mistakes of whoever writes

STEP = "story:\n  - {at: '00:10', do: record for 9 s}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": expected name:, says: and story:, got nothing"),
        ("- a\n- b\n", ": expected name:, says: and story:, got list"),
        ("name: x\n", ": expected story: and under it a list of steps, each with at or after, and do or expect"),
        ("name: x\nsay: y\n" + STEP, ": there is no 'say'; did you mean 'says'? expected name, says,"),
        ("name: a: b\n" + STEP, ", line 1: not YAML: mapping values are not allowed here"),
        ("story:\n\t- {at: '00:10', do: record}\n", ", line 2: not YAML: a tab; indent with spaces"),
        ("settings: {keep dayz: 3}\n" + STEP, ": settings: there is no 'keep dayz'; did you mean 'keep days'?"),
        ("settings: {keep days: three}\n" + STEP, ": keep days: expected a whole number, got 'three'"),
        ("settings: {resume: maybe}\n" + STEP, ": settings: resume: expected yes or no, got 'maybe'"),
        ("settings: {sent twice below: little}\n" + STEP, ": sent twice below: expected a number as in 2%, got 'little'"),
        ("devices: 0\n" + STEP, ": devices: expected 1 to 50, got 0"),
        ("ends: later\n" + STEP, ": ends is 'at once' or left out, got 'later'"),
        ("broken: everything\nfails: kept\n" + STEP, ": broken: goes with fails:; broken is one of journal is not synced,"),
        (STEP + "  - {at: '00:11', do: recrod for 9 s}\n", ", line 3, step 2: there is no phrase 'recrod for 9 s'; did you mean `record`?"),
        (STEP + "  - {at: '00:11', do: press stop}\n", ", line 3, step 2: there is no phrase 'press stop'; did you mean `press record`?"),
        (STEP + "  - {at: '00:11', do: battery 120 %}\n", ", line 3, step 2: `battery {percent} %`: expected 0 to 100, got 120"),
        (
            STEP + "  - {at: '00:11', do: network off for long}\n",
            "step 2: expected a span of time as in 90 s, 5 min, 2 h, 3 days, got 'long'",
        ),
        (STEP + "  - {at: '00:11', do: power on for 9 s}\n", "step 2: `power on` does not end by itself, so there is no `for` behind it"),
        (STEP + "  - {at: '00:11', expects: {lamp: ready}}\n", "step 2: expected at, after, device, do, expect, within, with do or expect"),
        (STEP + "  - {at: '00:11', do: power cut, whithin: 9 s}\n", "step 2: there is no 'whithin'; did you mean 'within'?"),
        (STEP + "  - {at: '00:11', expect: {lamp: green}}\n", "step 2: lamp: expected off or ready or recording or alarm, got green"),
        (STEP + "  - {at: '00:11', expect: {lmap: ready}}\n", "step 2: there is no question 'lmap'; did you mean `lamp`?"),
        (
            STEP + "  - {at: '00:11', expect: ready}\n",
            "step 2: expect takes questions with their answers, as in {lamp: ready, recording: no}",
        ),
        (STEP + "  - {at: '00:11', expect: {stored: all}}\n", "step 2: stored: expected a number as in 2, >0, <5, got all"),
        (
            STEP + "  - {at: '00:11', expect: {status: fine}}\n",
            "step 2: status: expected a state (ready, recording, alarm, off) or members",
        ),
        (
            STEP + "  - {at: '00:11', expect: {line: gap}}\n",
            "step 2: line: expected a line by its members as in {kind: gap, reason: power}",
        ),
        (STEP + "  - {at: '00:11', expect: {line: {kind: gapp}}}\n", "step 2: line: expected a kind of line: enrol, boot,"),
        (STEP + "  - {at: '00:11', expect: {line: {kind: fix, lat: '> north'}}}\n", "step 2: line: expected a line by its members"),
        (STEP + "  - {at: '00:11', expect: {refused: {bad: 1}}}\n", "step 2: refused: expected counts of too-long,"),
        (STEP + "  - {at: '00:11', expect: {sent twice: 2}}\n", "step 2: sent twice: expected a bound as in < 2 %, got 2"),
        (STEP + "  - {at: '25:00', do: power cut}\n", "step 2: expected a day from 1 on and an hour to 23, got '25:00'"),
        (STEP + "  - {at: noon, do: power cut}\n", "step 2: expected a moment as in 00:10, 08:30:15, day 3 12:00, got 'noon'"),
        (STEP + "  - {at: '00:09', do: power cut}\n", "step 2: at 00:09 is before the step before, which is at 00:10:00"),
        (STEP + "  - {at: '00:11', after: 9 s, do: power cut}\n", "step 2: expected at or after, got both"),
        (STEP + "  - {at: '00:11', do: power cut, within: 9 s}\n", "step 2: within belongs to expect: how long to go on asking"),
        (STEP + "  - {at: '00:11', device: 2, do: power cut}\n", "step 2: device: expected 1 or all, got '2'; `devices:` says how many"),
        (STEP + "  - {at: '00:11', do: [power cut]}\n", "step 2: do: expected a text, got ['power cut']"),
        (STEP + "  - {at: '00:11', expect: {lamp: ready, lamp: 'off'}}\n", ", line 3: not YAML: 'lamp' stands twice;"),
    ],
)
def test_a_mistake_is_one_sentence_that_says_where_and_what_was_expected(tmp_path, capsys, text, said):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert command.main(["scenario", str(path)]) == command.USAGE
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith(f"zhilu sim: {path}")
    assert said in error
    assert error.count("\n") == 1


def test_a_file_that_is_not_there_is_named_with_the_story_that_was_meant(capsys):
    assert command.main(["scenario", "power-cut-whil-recording"]) == command.USAGE
    assert "did you mean 'power-cut-while-recording'? `zhilu sim list` shows those that ship" in capsys.readouterr().err


# --------------------------------------------------------------------------- what is printed


def test_a_story_is_told_step_by_step_with_its_answers(capsys):
    assert command.main(["scenario", "marks-and-stills"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[:3] == [
        "The officer marks a moment and takes a still",
        "  Both are felt and on record, with their moment.",
        "  00:10:00  press record",
    ]
    assert "  00:10:22  as expected: felt mark, line {kind: mark}, lamp recording" in told
    assert told[-1].startswith("well: The officer marks a moment and takes a still: 1 recordings, ")


def test_a_story_that_is_not_well_says_so_and_exits_1(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text("name: Mine\nends: at once\n" + STEP + "  - {after: 3 s, expect: {lamp: ready}}\n")
    assert command.main(["scenario", "--quiet", str(path)]) == 1
    assert capsys.readouterr().out == "NOT WELL: Mine: 00:10:03  lamp: expected ready, got recording\n"


def test_what_there_is_is_listed(capsys):
    assert command.main(["list"]) == 0
    listed = capsys.readouterr().out
    assert all(f"{path.stem}\n    {story.name}. {story.says}\n" in listed for path in FILES for story in [scenario.load(path)])
    assert command.main(["list", "--phrases"]) == 0
    listed = capsys.readouterr().out
    assert all(f"do: {row.words}" in listed for row in phrases.PHRASES)
    assert all(f"expect: {key}:" in listed for key in expect.QUESTIONS)


def test_a_world_by_chance_prints_its_story_and_runs(capsys):
    assert command.main(["world", "--seed", "5", "--days", "0.5", "--devices", "1", "--story"]) == 0
    assert scenario.parse(capsys.readouterr().out).steps
    assert command.main(["world", "--seed", "5", "--days", "0.5", "--devices", "1"]) == 0
    assert capsys.readouterr().out.startswith("well: seed 5: ")
