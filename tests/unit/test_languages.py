"""Which translation serves whom: CLDR's aliases, likely scripts and parents, and that no script is ever mistaken."""

from __future__ import annotations

import subprocess
import sys

import pytest
from babel.core import get_global
from hypothesis import example, given
from hypothesis import strategies as st

from stentor.languages import REMEMBERED, Offer, Tag, closest, full, read

LIKELY = get_global("likely_subtags")
LANGUAGES = [
    *("zh", "sr", "es", "en", "pt", "nb", "no", "nn", "de", "uz", "pa", "az", "yue", "iw", "in", "sh", "tl", "hi")
]
TAGS = st.builds(
    lambda language, script, region, joint: joint.join(filter(None, (language, script, region))),
    st.sampled_from(LANGUAGES),
    st.sampled_from(["", "", "Hans", "Hant", "Latn", "Cyrl", "Arab"]),
    st.sampled_from(["", "TW", "HK", "MO", "CN", "RS", "ME", "MX", "AO", "NO", "IN", "001", "419", "PK"]),
    st.sampled_from(["-", "_"]),
)


@pytest.mark.parametrize(
    ("written", "tags"),
    [
        ("es-MX", "es-MX es-419 es"),
        ("es_MX", "es-MX es-419 es"),
        ("pt-AO", "pt-AO pt-PT pt"),
        ("en-IN", "en-IN en-001 en"),
        ("zh-TW", "zh-Hant-TW zh-Hant"),
        ("zh-HK", "zh-Hant-HK zh-Hant"),
        ("zh-MO", "zh-Hant-MO zh-Hant-HK zh-Hant"),
        ("zh-Hant", "zh-Hant"),
        ("zh-CN", "zh-CN zh"),
        ("zh-Hans-CN", "zh-CN zh"),
        ("sr-Latn-RS", "sr-Latn-RS sr-Latn"),
        ("sr-ME", "sr-Latn-ME sr-Latn"),
        ("sh", "sr-Latn"),
        ("sr-Cyrl-RS", "sr-RS sr"),
        ("sr-Cyrl-ME", "sr-Cyrl-ME sr"),
        ("zh-Hans-HK", "zh-Hans-HK zh"),
        ("nb-NO", "nb-NO nb no"),
        ("no", "no nb"),
        ("nn-NO", "nn-NO nn no nb"),
        ("iw-IL", "he-IL he"),
        ("in", "id"),
        ("tl-PH", "fil-PH fil"),
        ("mo", "ro"),
        ("zh-cmn-Hans-CN", "zh-CN zh"),
        ("zh-yue-HK", "yue-HK yue zh-Hant"),
        ("yue-CN", "yue-Hans-CN yue-Hans zh"),
        ("zh-rTW", "zh-Hant-TW zh-Hant"),
        ("zh-rtw", "zh-Hant-TW zh-Hant"),
        ("values-zh-rHK", "zh-Hant-HK zh-Hant"),
        ("b+zh+Hant+TW", "zh-Hant-TW zh-Hant"),
        ("spa-MEX", "es-MX es-419 es"),
        ("ru-RUS", "ru-RU ru"),
        ("en-UK", "en-GB en-001 en"),
        ("qaa-Cyrl-US", "qaa-Cyrl-US qaa-Cyrl"),
        ("und-MX", ""),
        ("*", ""),
        ("", ""),
    ],
)
def test_what_somebody_reads_by_cldr(written: str, tags: str) -> None:
    assert [str(tag) for tag in closest(written)] == tags.split()


@pytest.mark.parametrize(
    ("written", "offered", "served"),
    [
        ("zh-TW", "zh zh-Hant", "zh-Hant"),
        ("zh-TW", "zh", None),
        ("zh-TW", "zh-CN zh-Hans", None),
        ("zh-Hant", "zh zh-TW", "zh-TW"),
        ("zh-HK", "zh zh-TW", "zh-TW"),
        ("zh-MO", "zh-Hant zh-HK", "zh-HK"),
        ("zh-SG", "zh zh-Hans", "zh-Hans"),
        ("zh", "zh-TW zh-CN", "zh-CN"),
        ("sr-Latn", "sr", None),
        ("sr", "sr-Latn", None),
        ("sh", "sr sr-Latn", "sr-Latn"),
        ("nb-NO", "no", "no"),
        ("no", "nb", "nb"),
        ("no-NO", "nb-NO", "nb-NO"),
        ("nn", "nb", "nb"),
        ("no", "nn", None),
        ("iw", "he", "he"),
        ("he-IL", "iw", "iw"),
        ("iw", "he iw", "iw"),
        ("id-ID", "in", "in"),
        ("es-MX", "es es-419", "es-419"),
        ("es-AR", "es-ES", "es-ES"),
        ("es-AR", "es-MX", None),
        ("de-AT", "de-DE", "de-DE"),
        ("pt", "pt-PT pt-BR", "pt-BR"),
        ("pt-AO", "pt pt-PT", "pt-PT"),
        ("zh-rTW", "zh_TW", "zh_TW"),
        ("zh_TW", "zh-rTW", "zh-rTW"),
        ("zh_CN_#Hans", "zh-Hans zh-Hant zh", "zh-Hans"),
        ("de-DE-1996", "de-de de", "de-de"),
        ("de-1996", "de-1996 de", "de-1996"),
        ("ca-valencia", "ca", "ca"),
        ("de-AT,de;q=0.9,en;q=0.8", "de en", "de"),
    ],
)
def test_the_translation_that_serves_somebody(written: str, offered: str, served: str | None) -> None:
    assert Offer(offered.split()).find(written) == served


@example("sr-Cyrl-ME", ["sr-ME"])
@example("zh-Hans-HK", ["zh-HK", "zh-Hant"])
@example("zh-HK", ["zh-Hans-HK", "zh"])
@given(TAGS, st.lists(TAGS, max_size=8, unique=True))
def test_nobody_is_served_in_another_script(written: str, offered: list[str]) -> None:
    found = Offer(offered).find(written)
    if found is not None:
        assert script_of(found) == script_of(written)


@given(TAGS, st.lists(TAGS, max_size=8, unique_by=lambda tag: tag.replace("_", "-")))
def test_a_tag_that_is_there_wins_and_serves_itself(written: str, offered: list[str]) -> None:
    assert Offer([*offered, written]).find(written.upper()) in (
        written,
        *(tag for tag in offered if tag.replace("_", "-") == written.replace("_", "-")),
    )
    offer = Offer(offered)
    if (found := offer.find(written)) is not None:
        assert offer.find(found) == found


@given(st.text(), st.lists(st.text() | TAGS, max_size=4))
def test_any_text_is_served_by_something_offered_or_by_nothing(written: str, offered: list[str]) -> None:
    assert Offer(offered).find(written) in (None, *offered)
    assert len(closest(written)) < 10


@given(TAGS)
def test_a_full_tag_says_it_all(written: str) -> None:
    tag = read(written)
    assert tag is not None
    whole = full(tag)
    assert "" not in (whole.script, whole.region)
    assert full(whole) == whole
    assert read(str(whole)) == whole


def test_a_tag_that_no_list_knows_is_itself() -> None:
    assert full(Tag("qaa")) == Tag("qaa")


def test_tags_are_remembered_within_bounds() -> None:
    closest.cache_clear()
    for number in range(REMEMBERED + 10):
        closest(f"de-x-{number}")
    assert closest.cache_info().currsize == REMEMBERED


def test_cldr_is_loaded_with_the_first_tag_that_is_looked_for() -> None:
    script = (
        "import sys; from stentor.planning.content import Content; from stentor.model import Message;"
        "content = Content(message=Message(title='x')); content.check(); content.language_index('de');"
        "assert 'babel' not in sys.modules, 'loaded'"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def script_of(written: str) -> str:
    """The script that a tag implies, found otherwise than the code under test finds it: in CLDR's list alone."""
    language, *rest = written.replace("_", "-").split("-")
    names = get_global("language_aliases").get(language) or language
    language, *more = names.split("_")
    rest += more
    for part in rest:
        if len(part) == 4:
            return part
    region = next((part for part in rest if len(part) != 4), "")
    likely = LIKELY.get(f"{language}_{region}") or LIKELY[language]
    return str(likely).split("_")[1]
