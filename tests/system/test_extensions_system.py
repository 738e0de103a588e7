"""Whose a call is, from the command that says it to the reader who hears the call."""

from dataclasses import replace

import numpy as np
import pytest

from tests.simulators.hearing import RATE_HZ, aligned, decoded, mu_law
from tests.simulators.siprec_client import (
    ADA,
    CUSTOMER,
    SiprecPbx,
    new_recording,
    recordings,
)
from tests.simulators.site import Site
from vault.tap.simulate import conversation

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-shared")]


def test_a_call_of_nobody_lands_where_the_table_says(site: Site) -> None:
    vault = site.vault
    added = vault.json("extension", "add", "77??", "--workgroup", "Claims")
    found = vault.json("extension", "test", "sip:7712@pbx.example")
    pbx = vault.add_pbx("table-pbx")

    # A tap that knows the device has read the table after it.
    heard = site.wait(pbx.place(seconds=0.3, callee="sip:7712@pbx", caller="+1"))
    vault.said("extension", "remove", "77??")
    actions = [
        entry["action"]
        for entry in vault.trail()
        if entry.get("detail", {}).get("extension") == added["id"]
    ]

    assert {"extension": added} == found
    assert ("Claims", "inbound") == (
        heard.shown["workgroup"],
        heard.shown["direction"],
    )
    assert [] == vault.json("extension", "list")
    assert ["access.extension.set", "access.extension.removed"] == actions


def test_by_siprec_the_agent_of_the_table_is_left_and_named(site: Site) -> None:
    vault = site.vault
    vault.said(
        *("extension", "add", "ada@example.net"),
        *("--agent", "ada", "--workgroup", "Claims"),
    )
    token = vault.add_pbx("siprec-table").token
    pbx = SiprecPbx.of(vault, "siprec-table", token)
    before = recordings(site.sam)
    # The offer calls the streams agent and customer; the metadata knows better.
    call = pbx.place(
        seconds=1.0,
        speakers=(replace(ADA, label="customer"), replace(CUSTOMER, label="agent")),
    )
    id = new_recording(site.sam, before)
    shown = vault.finished(site.sam, id)
    audio = site.sam.get(f"/recordings/{id}/audio")
    pbx.close()
    vault.said("extension", "remove", "ada@example.net")
    said = mu_law(conversation("customer"))[:RATE_HZ]
    left = decoded(audio.content)[0]

    assert call.packets == sum(one["packets_authentic"] for one in shown["streams"])
    assert ("ada", "Claims") == (shown["agent"], shown["workgroup"])
    assert {("Ada Lovelace", "ada", "left"), (None, None, "right")} == {
        (one.get("name"), one.get("agent"), one["channel"]) for one in shown["parties"]
    }
    assert np.array_equal(said, aligned(said, left))
