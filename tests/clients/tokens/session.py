import ssl
from typing import Any

import httpx


class Session:
    """Gives an access token whenever it is called, from one session that begins with the API key."""

    def __init__(self, url: str, api_key: str) -> None:
        self._url, self._api_key = url, api_key
        self._refresh_token: str | None = None
        self._tls = ssl.create_default_context()  # making one takes longer than all the rest

    def __call__(self) -> str:
        # It is good for one use: if the answer gets lost, the session begins anew.
        given, self._refresh_token = self._refresh_token, None
        if given is None:
            tokens = self._ask("signIn", {"apiKey": self._api_key})
        else:
            tokens = self._ask("refreshSession", {"refreshToken": given})
        self._refresh_token = tokens["refreshToken"]
        return str(tokens["accessToken"])

    def _ask(self, mutation: str, given: dict[str, str]) -> dict[str, Any]:
        type_ = mutation[0].upper() + mutation[1:]
        tokens = f"... on {type_}Payload {{ accessToken refreshToken }}"
        query = f"mutation Token($input: {type_}Input!) {{ {mutation}(input: $input) {{ {tokens} }} }}"
        request = {"query": query, "variables": {"input": given}}
        answer = httpx.post(self._url, json=request, timeout=10, verify=self._tls).json()
        if "errors" in answer:
            raise RuntimeError(answer["errors"][0]["message"])
        found: dict[str, Any] = answer["data"][mutation]
        return found
