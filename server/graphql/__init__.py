"""The transport of the GraphQL API: HTTP and websockets. With `schema` the only code that knows Strawberry."""

from .endpoint import GraphQLEndpoint
from .limits import Limits
from .sharing import Sharing
from .uvicorn_protocol import HttpProtocol, WebSocketProtocol

__all__ = ["GraphQLEndpoint", "HttpProtocol", "Limits", "Sharing", "WebSocketProtocol"]
