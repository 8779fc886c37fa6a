"""Signing in with an API key, staying signed in, and signing out."""

from datetime import datetime
from typing import Annotated, Self

import strawberry

from ..resolvers.sessions import SignedIn
from .errors import InvalidInput
from .types import Viewer


@strawberry.input(description="With what to sign in.")
class SignInInput:
    api_key: str = strawberry.field(description="The whole API key, `mw_<id>_<secret>`.")
    cookie: bool | None = strawberry.field(
        default=False,
        description="For web pages: the refresh token goes into a cookie that no script can read, and not into the "
        "answer. `refreshSession` without a token takes it from there.",
    )


@strawberry.input(description="With what to stay signed in.")
class RefreshSessionInput:
    refresh_token: str | None = strawberry.field(
        default=None, description="The last refresh token of the session; absent or null for the one in the cookie."
    )


@strawberry.input(description="What to sign out of.")
class SignOutInput:
    everywhere: bool | None = strawberry.field(
        default=False,
        description="Whether to end all sessions that were begun with the same API key, and not the caller's alone.",
    )


@strawberry.type(description="A session was begun.")
class SignInPayload:
    access_token: str = strawberry.field(
        description="What goes behind `Authorization: Bearer` from now on, until `viewer.tokenExpiresAt`. Keep it in "
        "memory only."
    )
    refresh_token: str | None = strawberry.field(
        description="What `refreshSession` takes, once; null when it is in the cookie."
    )
    session_expires_at: datetime = strawberry.field(description="When to sign in again at the latest (UTC).")
    viewer: Viewer = strawberry.field(description="Who is signed in, and until when the access token is good.")

    @classmethod
    def of(cls, signed_in: SignedIn) -> Self:
        """Convert the resolver's answer."""
        return cls(
            access_token=signed_in.access_token,
            refresh_token=signed_in.refresh_token,
            session_expires_at=signed_in.session_expires_at,
            viewer=Viewer.of(signed_in.principal),
        )


@strawberry.type(description="A session goes on, with other tokens.")
class RefreshSessionPayload(SignInPayload):
    pass


@strawberry.type(
    description="Sessions were ended: their tokens are good for nothing, and what they had open is closed."
)
class SignOutPayload:
    ended_sessions: int = strawberry.field(description="How many.")


SignInResult = Annotated[
    SignInPayload | InvalidInput,
    strawberry.union("SignInResult", description="What `signIn` answers."),
]
RefreshSessionResult = Annotated[
    RefreshSessionPayload | InvalidInput,
    strawberry.union("RefreshSessionResult", description="What `refreshSession` answers."),
]
SignOutResult = Annotated[
    SignOutPayload | InvalidInput,
    strawberry.union("SignOutResult", description="What `signOut` answers."),
]
