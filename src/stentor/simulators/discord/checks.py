"""What Discord has against a message: limits of texts, embeds, components and polls, as its tree of errors. Pure."""

from __future__ import annotations

from typing import Any

Errors = dict[str, Any]

_EMBED_TEXTS = {"title": 256, "description": 4096}
_LARGEST_EMBEDS = 6000
_COMPONENTS_V2 = 1 << 15
_OLD_PARTS = ("content", "embeds", "sticker_ids", "poll")
"""What a message of the newer components can't have besides."""
_PARTS = ("embeds", "attachments", "components", "sticker_ids", "poll")
"""What makes a message without text one that says something."""
_FORWARD = 1


def check_message(message: dict[str, Any], *, is_webhook: bool) -> Errors:
    """What is wrong, as the `errors` of a 50035; empty where nothing is."""
    errors: Errors = {}
    _text(errors, message, "content", 2000)
    nonce = message.get("nonce")
    if not is_webhook and nonce is not None and (not isinstance(nonce, str | int) or len(str(nonce)) > 25):
        _add(errors, ("nonce",), "STRING_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
    if is_webhook and message.get("username") is not None:
        _text(errors, message, "username", 80, shortest=1)
    mentions = message.get("allowed_mentions")
    if mentions is not None and not isinstance(mentions, dict):
        _add(errors, ("allowed_mentions",), "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType")
    embeds = message.get("embeds")
    if embeds is not None:
        _embeds(errors, embeds)
    _components(errors, message)
    stickers = message.get("sticker_ids")
    if stickers is not None and (not isinstance(stickers, list) or len(stickers) > 3):
        _add(errors, ("sticker_ids",), "BASE_TYPE_MAX_LENGTH", "Must be 3 or fewer in length.")
    if message.get("poll") is not None:
        _poll(errors, message["poll"])
    return errors


def is_empty(message: dict[str, Any]) -> bool:
    reference = message.get("message_reference")
    if isinstance(reference, dict) and reference.get("type") == _FORWARD:
        return False
    return not (str(message.get("content") or "").strip() or any(message.get(part) for part in _PARTS))


def _components(errors: Errors, message: dict[str, Any]) -> None:
    components, flags = message.get("components"), message.get("flags")
    newer = isinstance(flags, int) and bool(flags & _COMPONENTS_V2)
    if newer:
        for name in filter(message.get, _OLD_PARTS):
            what = f"The '{name}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
            _add(errors, (name,), "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2", what)
    if components is None:
        return
    most = 40 if newer else 5
    if not isinstance(components, list) or len(components) > most:
        _add(errors, ("components",), "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")
        return
    for index, each in enumerate(components):
        if not isinstance(each, dict) or not isinstance(each.get("type"), int):
            _add(errors, ("components", str(index), "type"), "BASE_TYPE_REQUIRED", "This field is required")


def _poll(errors: Errors, poll: Any) -> None:
    question = poll.get("question") if isinstance(poll, dict) else None
    answers = poll.get("answers") if isinstance(poll, dict) else None
    if not isinstance(question, dict) or not question.get("text"):
        _add(errors, ("poll", "question", "text"), "BASE_TYPE_REQUIRED", "This field is required")
    else:
        _text(errors, question, "text", 300, ("poll", "question"))
    if not isinstance(answers, list) or not 1 <= len(answers) <= 10:
        _add(errors, ("poll", "answers"), "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 10 in length.")
        return
    for index, answer in enumerate(answers):
        media = answer.get("poll_media") if isinstance(answer, dict) else None
        path = ("poll", "answers", str(index), "poll_media")
        if not isinstance(media, dict) or not (media.get("text") or media.get("emoji")):
            _add(errors, path, "BASE_TYPE_REQUIRED", "This field is required")
        else:
            _text(errors, media, "text", 55, path)


def _embeds(errors: Errors, embeds: Any) -> None:
    if not isinstance(embeds, list) or len(embeds) > 10:
        _add(errors, ("embeds",), "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")
        return
    total = 0
    for index, embed in enumerate(embeds):
        path = ("embeds", str(index))
        if not isinstance(embed, dict):
            _add(errors, path, "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType")
            continue
        total += _embed(errors, embed, path)
    if total > _LARGEST_EMBEDS:
        _add(errors, ("embeds",), "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000")


def _embed(errors: Errors, embed: dict[str, Any], path: tuple[str, ...]) -> int:
    total = sum(_text(errors, embed, name, longest, path) for name, longest in _EMBED_TEXTS.items())
    for name, inner, longest in (("footer", "text", 2048), ("author", "name", 256)):
        if isinstance(part := embed.get(name), dict):
            total += _text(errors, part, inner, longest, (*path, name))
    fields = embed.get("fields") or []
    if not isinstance(fields, list) or len(fields) > 25:
        _add(errors, (*path, "fields"), "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
        return total
    for index, each in enumerate(fields):
        where = (*path, "fields", str(index))
        for name, longest in (("name", 256), ("value", 1024)):
            if not isinstance(each, dict) or not each.get(name):
                _add(errors, (*where, name), "BASE_TYPE_REQUIRED", "This field is required")
            else:
                total += _text(errors, each, name, longest, where)
    return total


def _text(
    errors: Errors, holder: dict[str, Any], name: str, longest: int, path: tuple[str, ...] = (), shortest: int = 0
) -> int:
    text = holder.get(name)
    if text is None:
        return 0
    if not isinstance(text, str):
        _add(errors, (*path, name), "STRING_TYPE_CONVERT", "Could not interpret value as string.")
        return 0
    if not shortest <= len(text) <= longest:
        _add(errors, (*path, name), "BASE_TYPE_MAX_LENGTH", f"Must be {longest} or fewer in length.")
    return len(text)


def _add(errors: Errors, path: tuple[str, ...], code: str, message: str) -> None:
    for part in path:
        errors = errors.setdefault(part, {})
    errors.setdefault("_errors", []).append({"code": code, "message": message})
