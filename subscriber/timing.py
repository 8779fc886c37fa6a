"""All waiting times of the subscriber in one place, so that tests scale them instead of sleeping."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Durations of the link, in seconds."""

    backoff_first_seconds: float = 0.5
    """Upper bound of the first wait before a reconnect; doubles with each failure."""
    backoff_max_seconds: float = 30.0
    lasting_seconds: float = 5.0
    """A link that was live for so long was well: waits begin anew. Where a proxy ends each socket after a quarter of a
    minute, components come back at once."""
    slow_seconds: float = 60.0
    """Between attempts while the server says that the credentials are wrong."""
    spread_seconds: float = 5.0
    """Over which a fleet spreads its return after the server announced its stop."""
    silence_seconds: float = 45.0
    """Without any message for so long, a link is dead."""
    ping_seconds: float = 30.0
    """Without any message for so long, and then as often, the server is asked for one: longer than it lets pass between
    bookmarks, so that an idle fleet costs it nothing, and so that it has time to answer before the link is dead."""
    open_seconds: float = 10.0
    """For each of: getting a token, opening the socket, being acknowledged, having a new token taken."""
    acknowledge_seconds: float = 0.1
    """Before the server is told of a version: the other components of the machine go on with it first. Of those that
    came by then it is told the last."""
    renewal_least_seconds: float = 1.0
    """Before a token is renewed, however soon it seems to expire: clocks differ."""
    close_seconds: float = 1.0
    """For the closing handshake, which a dead server never finishes."""
    override_seconds: float = 10.0
    """How long a call waits for the first configuration of the alias that `override` put in its place."""
    start_seconds: float = 5.0
    """How long an alias waits for its first configuration from the server before the cache's is used."""
    probe_seconds: float = 30.0
    """For the call with which a configuration is tried, LiteLLM's import before it not counted."""
    probe_pause_seconds: float = 0.2
    """Before a newer version is tried, when it put an end to the trial of another."""
    probe_again_first_seconds: float = 60.0
    """Upper bound of the first wait before a configuration is tried again; doubles with each failure."""
    probe_again_max_seconds: float = 900.0
