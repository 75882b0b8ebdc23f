"""A draft as a form has it: message, audience, values, title, time and rate; and the draft that a form means."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

import msgspec

from stentor.audience.contract import Selection
from stentor.audience.described import described
from stentor.audience.segments.spelling import told
from stentor.audience.written import filters, writable
from stentor.dashboard import message_form
from stentor.dashboard.form import Form
from stentor.dashboard.timing_form import TimingForm, form_of_timing, read_timing
from stentor.errors import InvalidConfiguration, InvalidInput, InvalidMessage, StentorError
from stentor.planning.content import content_of, to_file
from stentor.planning.contract import ANYTIME
from stentor.runtime.draft import Draft
from stentor.runtime.templates import read as read_template
from stentor.runtime.written import moment, share
from stentor.store.caring import CareSettings
from stentor.store.templates import UsedTemplate
from stentor.zones import zone_of

_TAG = re.compile(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*")
_FILTER = "filter"


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftForm:
    """What is in the fields."""

    tree: Mapping[str, Any] = field(default_factory=dict)
    """The message, of which the form was made and which it changes."""
    as_json: str | None = None
    """The message as somebody writes it as a file; None: in fields."""
    template: str = ""
    """`NAME@VERSION` of the saved template that the message was made from."""
    values: Sequence[tuple[str, str]] = ()
    source: str = ""
    filters: Sequence[str] = ()
    segment: str = ""
    """A condition, or the name of a saved segment."""
    saved_segment: str = ""
    """The name of a saved segment that was chosen."""
    only: str = ""
    """Ids, one a line."""
    title: str = ""
    at: str = ""
    """As a browser writes a date and a time."""
    zone: str = ""
    """In which time zone that is; empty: UTC."""
    words: str = ""
    """A time as the command line takes it; it goes before `at`."""
    max_rate: str = ""
    timing: TimingForm = field(default_factory=TimingForm)
    pause_above: str = ""
    """In percent."""
    category: str = ""
    exclude: str = ""
    """Names of lists, with commas between."""
    not_reached_by: str = ""
    """Ids of campaigns, with commas between."""
    caps: str = ""
    """With commas between."""

    @property
    def tzinfo(self) -> tzinfo:
        return zone_of(self.zone) or UTC

    @property
    def languages(self) -> list[str]:
        return message_form.languages(self.tree)

    @property
    def base(self) -> str:
        """The message, for the next form."""
        return json.dumps(self.tree, ensure_ascii=False)

    def draft(self, stored: Draft | None, now: float) -> Draft:
        """What the form means.

        Args:
            stored: the draft that it changes; None: it is a new one.
            now: epoch seconds.

        Raises: InvalidMessage, InvalidInput: names the field.
        """
        content = content_of(self.message, self._values(stored))
        if stored is not None:
            content = replace(content, action=stored.content.action)
        return Draft(
            content,
            self._selection(stored),
            title=self.title.strip() or None,
            starts_at=self._starts_at(stored, now),
            max_rate=self._rate(),
            timing=self.timing.timing(ANYTIME if stored is None else stored.timing),
            pause_above=self._pause_above(),
            care=self._care(stored),
            template=used_template(self.template),
            collapse_id=None if stored is None else stored.collapse_id,
        )

    @property
    def message(self) -> Mapping[str, Any]:
        """Raises: InvalidMessage: the file is none."""
        if self.as_json is None:
            return self.tree
        try:
            tree = json.loads(self.as_json)
        except (ValueError, RecursionError) as error:
            raise InvalidMessage("message", f"is not JSON: {error}") from None
        if not isinstance(tree, dict):
            raise InvalidMessage("message", "must be a JSON object with the fields of a message")
        return tree

    @property
    def own_values(self) -> dict[str, str]:
        """The values as they are in the fields."""
        return message_form.restored(self.values, {})

    def _values(self, stored: Draft | None) -> dict[str, str]:
        return message_form.restored(self.values, {} if stored is None else stored.content.values)

    def _selection(self, stored: Draft | None) -> Selection:
        before = None if stored is None else stored.selection
        if before is not None and is_fixed(before):
            return before
        shown = (self.source, tuple(self.filters), self.segment, self.saved_segment, self.only)
        if before is not None and _audience(before) == shown:
            return before
        try:
            wanted = filters([each for each in self.filters if each.strip()], _FILTER)
        except InvalidConfiguration as error:
            raise InvalidInput(_FILTER, str(error).removeprefix(f"{_FILTER}: ")) from None
        if not self.source:
            raise InvalidInput("source", "choose whom it is for")
        if self.segment.strip() and self.saved_segment:
            raise InvalidInput("segment", "choose a saved segment, or write a condition; not both")
        segment, name = told(self.segment.strip() or self.saved_segment)
        only = [line.strip() for line in self.only.splitlines() if line.strip()]
        return Selection(source=self.source, filters=wanted, segment=segment, segment_name=name, only=only or None)

    def _starts_at(self, stored: Draft | None, now: float) -> float | None:
        text = self.words.strip() or self.at
        if not text:
            return None
        if (zone := zone_of(self.zone or "UTC")) is None:
            raise InvalidInput(
                "starts_at", f"the time zone {self.zone} is not known here; write the time with its +HH:MM"
            )
        before = None if stored is None else stored.starts_at
        if not self.words.strip() and before is not None and _local(before, zone) == self.at:
            return before
        try:
            return moment("at", text, now, zone).at
        except InvalidConfiguration as error:
            raise InvalidInput("starts_at", str(error).removeprefix("at: ")) from None

    def _care(self, stored: Draft | None) -> CareSettings:
        if stored is not None and is_fixed(stored.selection):
            return stored.care
        return CareSettings(
            category=self.category.strip() or None,
            exclude=_listed(self.exclude),
            not_reached_by=_listed(self.not_reached_by),
            caps=_listed(self.caps),
        )

    def _rate(self) -> float | None:
        if not self.max_rate.strip():
            return None
        try:
            return float(self.max_rate)
        except ValueError:
            raise InvalidInput("max_rate", "must be a number, such as 500") from None

    def _pause_above(self) -> float | None:
        text = self.pause_above.strip()
        if not text:
            return None
        try:
            return share("pause_above", text if text.endswith("%") else f"{text}%")
        except InvalidConfiguration:
            raise InvalidInput("pause_above", "must be a percentage above 0 and at most 100, such as 20") from None


def form_of(draft: Draft) -> DraftForm:
    """The form of a draft that is stored. Its time is in UTC."""
    source, rows, segment, saved, only = _audience(draft.selection)
    return DraftForm(
        tree=to_file(draft.content),
        template="" if draft.template is None else str(draft.template),
        values=message_form.rows_of(draft.content.values),
        source=source,
        filters=rows,
        segment=segment,
        saved_segment=saved,
        only=only,
        title="" if draft.title == (draft.content.name or "untitled") else draft.title or "",
        at="" if draft.starts_at is None else _local(draft.starts_at, UTC),
        max_rate="" if draft.max_rate is None else f"{draft.max_rate:g}",
        timing=form_of_timing(draft.timing),
        pause_above="" if draft.pause_above is None else f"{100 * draft.pause_above:g}",
        category=draft.care.category or "",
        exclude=", ".join(draft.care.exclude),
        not_reached_by=", ".join(draft.care.not_reached_by),
        caps=", ".join(draft.care.caps),
    )


def read(form: Form) -> DraftForm:
    """The form that somebody filled in. Raises: InvalidMessage: what it was made of cannot be read."""
    try:
        tree = msgspec.json.decode(form.raw("base") or "{}", type=dict[str, Any])
        tree = message_form.filled_in(tree, form)
    except (msgspec.DecodeError, RecursionError, AttributeError, TypeError, KeyError):
        raise InvalidMessage("message", "cannot be read; open the draft again") from None
    written = any(name == "json" for name, _ in form.fields)
    return DraftForm(
        tree=tree,
        as_json=form.raw("json") if written else None,
        template=form.get("template"),
        values=message_form.pairs(form, "value"),
        source=form.get("source"),
        filters=form.all(_FILTER),
        segment=form.raw("segment"),
        saved_segment=form.get("saved_segment"),
        only=form.raw("only"),
        title=form.get("title"),
        at=form.get("at"),
        zone=form.get("zone"),
        words=form.get("words"),
        max_rate=form.get("max_rate"),
        timing=read_timing(form),
        pause_above=form.get("pause_above"),
        category=form.get("category"),
        exclude=form.get("exclude"),
        not_reached_by=form.get("not_reached_by"),
        caps=form.get("caps"),
    )


def pressed(filled: DraftForm, button: str, language: str) -> DraftForm:
    """The form after a button that changes what is in it.

    Raises: InvalidMessage, InvalidInput: that cannot be done; names the field.
    """
    what, _, of = button.partition(":")
    if what == "add-language":
        if not _TAG.fullmatch(language):
            raise InvalidInput("language", "write a language tag such as de or pt-BR")
        known = {each.lower() for each in filled.languages}
        return filled if language.lower() in known else replace(filled, tree=_with(filled, language))
    if what == "remove-language":
        return replace(filled, tree=message_form.without_language(filled.tree, of))
    if what == "as-json":
        return replace(filled, as_json=json.dumps(filled.tree, ensure_ascii=False, indent=2))
    if what == "as-fields":
        return replace(filled, tree=to_file(content_of(filled.message, {}, check=False)), as_json=None)
    return filled


def is_fixed(selection: Selection) -> bool:
    """Whether people are chosen by what another campaign did, or in another way that a form has no fields for."""
    of_a_campaign = selection.reached_by or selection.failed_of or selection.addresses_of
    return bool(of_a_campaign) or writable(selection.filters) is None


def audience_in_words(draft: Draft) -> str:
    return described(draft.selection)


def problems_of(error: StentorError) -> dict[str, str]:
    """What is wrong, by the form's field; under an empty name what belongs to none."""
    if isinstance(error, InvalidMessage):
        name = message_form.name_of(error.field)
        return {name: error.problem if name else str(error)}
    if isinstance(error, InvalidInput):
        return {error.field: error.problem}
    return {"": str(error)}


def _with(filled: DraftForm, language: str) -> dict[str, Any]:
    return message_form.with_language(filled.tree, language)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())


def used_template(said: str) -> UsedTemplate | None:
    """What the form says of the template that its message was made from. Raises: InvalidInput: it is none."""
    name, version = read_template(said)
    return None if version is None else UsedTemplate(name=name, version=version)


def _audience(selection: Selection) -> tuple[str, tuple[str, ...], str, str, str]:
    """Source, filters, segment, saved segment and ids as the form shows them."""
    rows = writable(selection.filters) or []
    saved = selection.segment_name or ""
    segment = "" if saved else selection.segment or ""
    return selection.source, tuple(rows), segment, saved, "\n".join(selection.only or [])


def _local(at: float, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at, zone).strftime("%Y-%m-%dT%H:%M")
