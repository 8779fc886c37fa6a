"""What an answer may be, by the Accept headers of the request."""

from __future__ import annotations

import pytest

from modelwire.server.graphql.negotiation import EVENT_STREAM, GRAPHQL_RESPONSE, JSON, MULTIPART, acceptable


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ([], [JSON, GRAPHQL_RESPONSE]),
        ([""], [JSON, GRAPHQL_RESPONSE]),
        (["*/*"], [JSON, GRAPHQL_RESPONSE]),
        (["application/*"], [JSON, GRAPHQL_RESPONSE]),
        ([JSON], [JSON]),
        ([f"{GRAPHQL_RESPONSE}, {JSON}"], [GRAPHQL_RESPONSE, JSON]),
        ([GRAPHQL_RESPONSE, JSON], [GRAPHQL_RESPONSE, JSON]),
        ([f"{GRAPHQL_RESPONSE};q=0.5, {JSON};q=0.9"], [JSON, GRAPHQL_RESPONSE]),
        ([f"*/*;q=0.1, {GRAPHQL_RESPONSE}"], [GRAPHQL_RESPONSE, JSON]),
        ([f"{JSON};q=0, */*"], [GRAPHQL_RESPONSE]),
        ([f"{JSON};q=0"], []),
        ([f"{JSON};q=x"], []),
        ([f"{JSON};q=nan"], []),
        (["text/html"], []),
        (["text/*"], []),
        ([EVENT_STREAM], [EVENT_STREAM]),
        (["TEXT/Event-Stream ; charset=utf-8"], [EVENT_STREAM]),
        ([f"{EVENT_STREAM}, {JSON}"], [EVENT_STREAM, JSON]),
        ([f"{JSON}, {EVENT_STREAM}"], [JSON, EVENT_STREAM]),
        ([f"*/*, {EVENT_STREAM}"], [JSON, GRAPHQL_RESPONSE, EVENT_STREAM]),
        ([f"{EVENT_STREAM};q=0.2, */*;q=0.1"], [EVENT_STREAM, JSON, GRAPHQL_RESPONSE]),
        (["multipart/mixed"], []),
        (["multipart/mixed;deferSpec=20220824"], []),
        (["multipart/mixed;subscriptionSpec=2.0"], []),
        (["multipart/mixed;subscriptionSpec=1.0"], [MULTIPART]),
        (['multipart/mixed; boundary="graphql"; SubscriptionSpec="1.0"'], [MULTIPART]),
        ([f"multipart/mixed;subscriptionSpec=1.0;q=0.5, {JSON}"], [JSON, MULTIPART]),
        (["multipart/mixed, multipart/mixed;subscriptionSpec=1.0"], [MULTIPART]),
        (["multipart/mixed;subscriptionSpec=1.0;q=0"], []),
    ],
)
def test_acceptable(accept: list[str], expected: list[str]) -> None:
    assert acceptable(tuple(accept)) == tuple(expected)
