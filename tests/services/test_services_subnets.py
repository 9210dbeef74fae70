"""Exactly one address is opened, and nothing beside it."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from hitl.services import label_studio, subnets
from hitl.services.state import StateFolder


def is_open(address: str, networks: list[str]) -> bool:
    number = ipaddress.ip_address(address)
    return not any(number in ipaddress.ip_network(one) for one in networks)


def test_one_address_of_loopback_is_opened_and_its_neighbours_are_not() -> None:
    left = subnets.all_but(["127.0.0.17"])

    assert is_open("127.0.0.17", left)
    for other in ("127.0.0.16", "127.0.0.18", "127.0.0.1", "127.255.255.255", "10.0.0.1", "::1"):
        assert not is_open(other, left), other
    assert is_open("8.8.8.8", left)


def test_an_address_that_lies_in_two_banned_networks_is_opened_in_both() -> None:
    assert is_open("255.255.255.255", subnets.all_but(["255.255.255.255"]))


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("10.1.2.3", True), ("::1", True), ("8.8.8.8", False)],
)
def test_only_a_number_of_a_banned_network_needs_opening(host: str, expected: bool) -> None:
    assert expected is subnets.is_banned(host)


@pytest.mark.parametrize("name", ["localhost", "example.com", ""])
def test_a_name_opens_nothing_because_it_may_point_elsewhere_tomorrow(name: str) -> None:
    assert not subnets.is_banned(name)


@pytest.mark.parametrize(
    ("url", "opened"),
    [
        (None, False),
        ("http://localhost:8080/webhooks", False),
        ("https://hooks.example.com/x", False),
        ("http://127.0.0.17:8080/webhooks", True),
    ],
)
def test_label_studio_is_told_of_an_opened_address_only_where_there_is_one(
    tmp_path: Path, url: str | None, opened: bool
) -> None:
    state = StateFolder(tmp_path / "state").prepare()

    told = label_studio.environment(state, postgres_port=1, own={}, webhook_url=url)

    listed = told.get("LABEL_STUDIO_USER_ADDITIONAL_BANNED_SUBNETS", "")
    assert opened == bool(listed)
    assert opened == ("false" == told.get("LABEL_STUDIO_USE_DEFAULT_BANNED_SUBNETS"))
    assert "LABEL_STUDIO_SSRF_PROTECTION_ENABLED" not in told
    if opened:
        assert is_open("127.0.0.17", listed.split(","))
        assert not is_open("127.0.0.1", listed.split(","))


def test_another_opened_address_is_another_server(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state").prepare()

    def setup(url: str | None) -> str:
        return label_studio.setup(
            state, tmp_path, postgres_port=1, task_lock_seconds=1, webhook_url=url
        )

    assert setup(None) == setup("https://hooks.example.com/x")
    assert setup(None) != setup("http://127.0.0.17:1/")
    assert setup("http://127.0.0.17:1/") == setup("http://127.0.0.17:2/")
