"""Redaction: text that looks like personal data or a secret is removed, and other text is unchanged."""

from __future__ import annotations

import pytest

from bento_monitor.tracing.privacy.redaction import LOOKAHEAD, REDACTED, redact

CARD = "4111 1111 1111 1111"
SECRETS = [
    "ann.neil+x@mail.example",
    "иван@почта.рф",
    CARD,
    "4111-1111-1111-1111",
    "4111111111111111",
    "3782 822463 10005",
    "5 5 5 5 5 5 5 5 5 5 5 5 4 4 4 4",
    "123456789",
    "004915112345678",
    "Bearer abc.def-123",
    "BEARER abcd",
    "Basic dXNlcjpwYXNzd29yZA==",
    'api_key="k1',
    "password: hunter2",
    'token": "x9',
    "sk-live-1234567890ab",
    "ghp_aBcDeFgHiJkLmNoP",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOi.eyJzdWIi.SflKxw",
    "d41d8cd98f00b204e9800998ecf8427e",
]
PLAIN = [
    "The quick brown fox",
    "on 2024-01-15 at 10:30",
    "order 1234 5678, room 12",
    "4111 1111 1111 1112",  # not a card: its check digit is wrong
    "a bearer of news",
    "basic knowledge of it",
    "tokens per second",
    "12345678",
    "[0.123457, -3.5e-08]",
    "550e8400-e29b-41d4-a716-446655440000"[:23],
]


@pytest.mark.parametrize("secret", SECRETS)
def test_secret_is_replaced_and_its_surroundings_stay(secret: str) -> None:
    redacted = redact(f"before: {secret} after", 256)
    assert redacted.startswith("before: ")
    assert redacted.endswith(" after")
    assert REDACTED in redacted
    for part in (secret, secret[-4:]):
        assert part not in redacted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Basic abc", "[redacted]"),
        ("a\nProxy-Authorization: Basic abc\nb", "a\nProxy-[redacted]\nb"),
        ('{"authorization": "Basic YTpi", "x": 1}', '{"[redacted]", "x": 1}'),
        ("curl -H 'Authorization: AWS4 Credential=k, Signature=s' /x", "curl -H '[redacted]' /x"),
    ],
)
def test_authorization_is_redacted_completely_for_any_scheme(text: str, shown: str) -> None:
    assert redact(text, 256) == shown


@pytest.mark.parametrize("plain", PLAIN)
def test_plain_text_is_left_unchanged(plain: str) -> None:
    assert redact(plain, 256) == plain


def test_card_is_found_among_other_groups_of_digits() -> None:
    assert "1111" not in redact(f"items 7 {CARD} 12", 256)


@pytest.mark.parametrize("secret", SECRETS)
def test_truncated_secret_is_redacted(secret: str) -> None:
    for kept in range(1, len(secret)):
        text = ("." * (256 - kept - 1) + " " + secret + " " + "z" * 1000)[: 256 + LOOKAHEAD]
        shown = redact(text, 256)
        assert len(shown) <= 256
        assert set(shown[256 - kept :]) <= set(REDACTED)


def test_redaction_does_not_reveal_text_beyond_the_length() -> None:
    text = ("a1" * 120 + " " + "x" * 200 + "hidden" + "y" * 1000)[: 256 + LOOKAHEAD]
    assert "hidden" not in redact(text, 256)
    assert redact(text, 256) == f"{REDACTED} " + "x" * 15


@pytest.mark.parametrize("hostile", ["a" * 512, "1 " * 256, "a@" * 256, "eyJ" * 170, "a1" * 256, "-1" * 256])
def test_redaction_is_fast_for_any_text(hostile: str) -> None:
    assert len(redact(hostile, 256)) <= 256
