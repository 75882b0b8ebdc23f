"""What all providers share: reading Retry-After, finding malformed addresses, answers for a whole burst."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.http2.burst import Burst, Fate, Header, Reply, Results, Template
from stentor.outcome import Scope, Verdict
from stentor.providers import contract
from stentor.providers.contract import Answer, Encoded, Rule, Taken

NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"0", 0.0),
        (b"120", 120.0),
        (b" 1.5 ", 1.5),
        (b"86400", contract.LONGEST_RETRY_AFTER),
        (b"Fri, 15 Jan 2027 08:02:00 GMT", 120.0),
        (b"Friday, 15-Jan-27 08:02:00 GMT", 120.0),
        (b"Fri Jan 15 08:02:00 2027", 120.0),
        (b"Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        (b"Sat, 16 Jan 2027 08:00:00 GMT", contract.LONGEST_RETRY_AFTER),
        (b"-5", None),
        (b"soon", None),
        (b"", None),
        (b"1e9999", None),
        (b"9" * 5000, None),
        (b"Fri, 99 Jan 2027 08:00:00 GMT", None),
        ("später".encode("latin-1"), None),
    ],
)
def test_retry_after(value: bytes, seconds: float | None) -> None:
    assert contract.retry_after([(b"x", b"1"), (b"retry-after", value)], NOW) == seconds


def test_no_retry_after() -> None:
    assert contract.retry_after([(b"content-type", b"7")], NOW) is None


@given(st.binary(max_size=60))
def test_retry_after_never_raises_and_keeps_its_bounds(value: bytes) -> None:
    seconds = contract.retry_after([(b"retry-after", value)], NOW)
    assert seconds is None or 0 <= seconds <= contract.LONGEST_RETRY_AFTER


@given(st.lists(st.binary(max_size=6) | st.text("abcd", max_size=6).map(str.encode), max_size=20))
def test_malformed_addresses_are_found_as_one_by_one(addresses: list[bytes]) -> None:
    wanted = [i for i, a in enumerate(addresses) if not a or len(a) > 4 or any(byte not in b"abc" for byte in a)]
    assert contract.find_malformed(addresses, b"abc", 4) == wanted


def test_an_address_may_be_as_long_as_the_limit() -> None:
    assert contract.find_malformed([b"abca", b"abcab"], b"abc", 4) == [1]
    assert contract.find_malformed([b"abca"], b"abc", 4) == []


@given(st.binary(max_size=200))
def test_json_object_never_raises(body: bytes) -> None:
    assert contract.json_object(body) is None or isinstance(contract.json_object(body), dict)


@pytest.mark.parametrize(
    "body", [b"", b"[1]", b'"x"', b'{"a":', b"[" * 60_000, b'{"a":"\xff"}', b'{"a":1}' + b" " * 70_000]
)
def test_what_is_no_readable_object(body: bytes) -> None:
    assert contract.json_object(body) is None


def test_text_is_one_short_line_without_addresses() -> None:
    assert contract.text("  Bad\r\n\x00 thing ") == "Bad thing"
    assert len(contract.text("no no " * 1000)) <= contract.LONGEST_DETAIL
    assert contract.text(["x"]) == ""
    token = "fXy0:APA91bHun4MxP5egoKMwt2KZFBaFUH-1RYqx"
    assert contract.text(f"Invalid value at 'message.token', \"{token}\"") == "Invalid value at 'message.token', \"…\""
    assert contract.text(f"{'00fc13ad' * 8} is not known") == "… is not known"


def test_a_rule_makes_its_answer() -> None:
    rule = Rule(429, "Slow", Verdict.RETRY, Scope.LANE, "too fast", wait=60.0, stop_if_all=True)
    answer = rule.answer(429, detail="why")
    assert (answer.verdict, answer.reason, answer.status, answer.scope) == (Verdict.RETRY, "Slow", 429, Scope.LANE)
    assert (answer.retry_after, answer.detail, answer.stop_if_all, answer.known) == (60.0, "why", True, True)
    assert rule.answer(429, retry_after=0.0).retry_after == 0.0  # the provider's word goes before the table's


@pytest.mark.parametrize(
    ("since", "registered_at", "verdict"),
    [
        (100.0, 99.0, Verdict.DROP),
        (100.0, 100.0, Verdict.DROP),
        (100.0, 101.0, Verdict.REJECT),
        (100.0, None, Verdict.DROP),
        (None, 101.0, Verdict.DROP),
    ],
)
def test_an_address_registered_since_is_kept(
    since: float | None, registered_at: float | None, verdict: Verdict
) -> None:
    answer = Answer(verdict=Verdict.DROP, reason="Unregistered", since=since)
    assert answer.for_registration(registered_at).verdict is verdict


def test_only_a_drop_depends_on_the_registration() -> None:
    answer = Answer(verdict=Verdict.RETRY, reason="x", since=100.0)
    assert answer.for_registration(200.0) is answer


@pytest.mark.parametrize(("status", "verdict"), [(202, Verdict.AMBIGUOUS), (302, Verdict.RETRY), (400, Verdict.RETRY)])
def test_the_unknown_is_sent_again_unless_something_took_it(status: int, verdict: Verdict) -> None:
    answer = contract.unknown_answer(status, "Odd")
    assert (answer.verdict, answer.known) == (verdict, False)


def make_results(*fates: Fate) -> Results:
    results = Results(len(fates))
    results.fates[:] = bytes(fates)
    return results


def test_answers_by_the_recipients_index() -> None:
    calls: list[bytes] = []

    def decode(status: int, headers: Sequence[Header], body: bytes, now: float) -> Answer:
        calls.append(body)
        return Answer(verdict=Verdict.DROP, reason=body.decode(), status=status)

    rejected = {0: Answer(verdict=Verdict.REJECT, reason="MalformedAddress")}
    burst = Burst(Template((), ()), (), [b""] * 6)
    encoded = Encoded(burst, [1, 2, 3, 4, 5, 6], rejected)
    results = make_results(
        Fate.RESPONSE, Fate.RESPONSE, Fate.RESPONSE, Fate.NOT_PROCESSED, Fate.AMBIGUOUS, Fate.PENDING
    )
    results.replies[1] = Reply(410, ((b"apns-id", b"a"),), b"gone")
    results.replies[2] = Reply(410, ((b"apns-id", b"b"),), b"gone")
    results.reasons[3] = "refused stream"
    found = contract.answers(encoded, results, decode, NOW)
    assert {index: answer.verdict for index, answer in found.items()} == {
        0: Verdict.REJECT,
        2: Verdict.DROP,
        3: Verdict.DROP,
        4: Verdict.RECONNECT,
        5: Verdict.AMBIGUOUS,
    }
    assert found[4].detail == "refused stream"
    assert calls == [b"gone"], "equal answers are decoded once"


def test_answers_with_different_retry_after_are_told_apart() -> None:
    def decode(status: int, headers: Sequence[Header], body: bytes, now: float) -> Answer:
        return Answer(verdict=Verdict.RETRY, reason="x", retry_after=contract.retry_after(headers, now))

    results = make_results(Fate.RESPONSE, Fate.RESPONSE)
    results.replies = {i: Reply(429, ((b"retry-after", b"%d" % i),), b"") for i in range(2)}
    found = contract.answers(Encoded(Burst(Template((), ()), (), [b""] * 2), range(2)), results, decode, NOW)
    assert [found[i].retry_after for i in range(2)] == [0.0, 1.0]


def test_answers_whose_explanation_is_a_header_are_told_apart() -> None:
    def decode(status: int, headers: Sequence[Header], body: bytes, now: float) -> Answer:
        return Answer(verdict=Verdict.RETRY, reason=(contract.header(headers, contract.EXPLANATION) or b"").decode())

    results = make_results(Fate.RESPONSE, Fate.RESPONSE)
    results.replies = {i: Reply(400, ((b"date", b"now"), (contract.EXPLANATION, b"%d" % i)), b"") for i in range(2)}
    found = contract.answers(Encoded(Burst(Template((), ()), (), [b""] * 2), range(2)), results, decode, NOW)
    assert [found[i].reason for i in range(2)] == ["0", "1"]


A, B = Template((), (b":path",)), Template(((b"x", b"1"),), (b":path",))


def group(template: Template, paths: list[bytes], rejected: dict[int, Answer] | None = None) -> Encoded:
    kept = [index for index in range(len(paths) + len(rejected or ())) if index not in (rejected or ())]
    return Encoded(Burst(template, (paths,), [b"body of " + path for path in paths]), kept, rejected or {})


def test_groups_are_joined_where_their_templates_are_equal() -> None:
    no = Answer(verdict=Verdict.REJECT, reason="MalformedAddress")
    joined = contract.join(
        [
            ([0, 4], group(A, [b"/0", b"/4"])),
            ([1, 3, 6], group(Template((), (b":path",)), [b"/1", b"/6"], {1: no})),
            ([2, 5], group(B, [b"/2", b"/5"])),
        ]
    )
    assert [(encoded.burst.template, list(encoded.positions), dict(encoded.rejected)) for encoded in joined] == [
        (A, [0, 4, 1, 6], {3: no}),
        (B, [2, 5], {}),
    ]
    for encoded in joined:
        assert list(encoded.burst.columns[0]) == [b"/%d" % position for position in encoded.positions]
        assert list(encoded.burst.bodies) == [b"body of /%d" % position for position in encoded.positions]


def test_nothing_joined_is_nothing() -> None:
    assert contract.join([]) == []


def test_a_wait_that_the_provider_names_is_told_from_ours() -> None:
    rule = Rule(429, "TooMany", Verdict.RETRY, Scope.LANE, "", wait=60.0)
    assert (rule.answer(429).retry_after, rule.answer(429).asked) == (60.0, False)
    assert (rule.answer(429, retry_after=5.0).retry_after, rule.answer(429, retry_after=5.0).asked) == (5.0, True)
    assert not contract.unknown_answer(500, "x").asked
    assert contract.unknown_answer(500, "x", retry_after=0.0).asked


def test_what_a_channel_says_goes_into_any_message() -> None:
    half = "caf\u00e9 \ud83d"
    answer = Answer(verdict=Verdict.RETRY, reason=half, detail=half, moved_to=half, status=1 << 70)
    taken = Taken(at=1.0, id=half, moved_to=half)
    assert {answer.reason, answer.detail, answer.moved_to, taken.id, taken.moved_to} == {"caf\u00e9 ?"}
    assert answer.status == 0
    msgspec.msgpack.encode((answer, taken))
