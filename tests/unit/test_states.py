"""The table of a campaign's moves, and the diagram that is drawn from it."""

from __future__ import annotations

from pathlib import Path

from stentor.states import FINAL, MOVES, STOPPED, CampaignState, mermaid

DOCS = Path(__file__).parents[2] / "docs"


def reachable(start: CampaignState) -> set[CampaignState]:
    found = {start}
    while new := {after for state in found for after in MOVES[state]} - found:
        found |= new
    return found


def test_every_state_has_its_moves() -> None:
    assert set(MOVES) == set(CampaignState)
    assert not [state for state, after in MOVES.items() if state in after]


def test_every_state_is_reached_and_left() -> None:
    assert reachable(CampaignState.DRAFT) == set(CampaignState)
    assert not [state for state in CampaignState if not reachable(state) & FINAL]


def test_the_final_states() -> None:
    assert {CampaignState.COMPLETED, CampaignState.CANCELLED, CampaignState.FAILED} == FINAL


def test_what_was_stopped_is_never_sent_again() -> None:
    for state in STOPPED:
        assert reachable(state) <= STOPPED


def test_the_diagram_shows_every_move_and_no_other() -> None:
    first, *lines = mermaid().splitlines()
    assert first == "stateDiagram-v2"
    shown = {tuple(line.split(" --> ")) for line in map(str.strip, lines)}
    moves = {(str(state), str(to)) for state, after in MOVES.items() for to in after}
    assert shown == moves | {("[*]", "draft")} | {(str(state), "[*]") for state in FINAL}
    assert len(lines) == len(shown)


def test_the_documentation_shows_the_diagram() -> None:
    assert mermaid() in (DOCS / "campaigns.md").read_text("utf-8")
