from gql import Client
from gql.transport.httpx import HTTPXAsyncTransport


def connect(url: str, api_key: str) -> Client:
    return Client(transport=HTTPXAsyncTransport(url=url, headers={"authorization": f"Bearer {api_key}"}))
