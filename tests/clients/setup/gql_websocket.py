from gql import Client
from gql.transport.websockets import WebsocketsTransport


def connect(url: str, api_key: str) -> Client:
    transport = WebsocketsTransport(
        url=url.replace("http", "ws", 1),
        init_payload={"authorization": f"Bearer {api_key}"},
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )
    return Client(transport=transport)
