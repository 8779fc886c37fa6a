import asyncio
import os
import sys

from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport

ROLLOUT = gql("""
    subscription ($alias: String!) {
      componentChanged(by: [{ alias: $alias }]) {
        rollouts { rollout { version applied refused pending offline reasons { reason components } } }
      }
    }
""")


async def wait(alias: str, version: int) -> bool:
    """Until every component that is connected applied or refused this version, or a later one; whether none refused."""
    transport = WebsocketsTransport(
        url=os.environ["MODELWIRE_URL"].replace("http", "ws", 1) + "/graphql",
        init_payload={"authorization": f"Bearer {os.environ['MODELWIRE_TOKEN']}"},
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )
    ROLLOUT.variable_values = {"alias": alias}
    async with Client(transport=transport) as session:
        async for event in session.subscribe(ROLLOUT):
            for each in event["componentChanged"]["rollouts"]:
                rollout = each["rollout"]
                live = rollout["applied"] + rollout["refused"] + rollout["pending"]
                print(f"version {rollout['version']}: {rollout['applied']} of {live} applied", *rollout["reasons"])
                if rollout["version"] >= version and rollout["pending"] == 0:
                    return rollout["refused"] == 0
    raise ConnectionError("the server ended the subscription: subscribe again, its first event is the whole state")


sys.exit(0 if asyncio.run(wait(sys.argv[1], int(sys.argv[2]))) else 3)
