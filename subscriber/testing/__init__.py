"""A control plane for the tests of components: in this process, on loopback, with nothing to install or to start.

plane = fake_control_plane({"general": {"model": "openai/gpt-5", "api_key": "k"}})
with plane as url:
    async with DynamicModelProvider(url, token="any", component="test") as provider:
        model = provider.get_lite_llm_model("general")
        await model.wait_ready(timeout_seconds=30)
        plane.put("general", {"model": "openai/gpt-5-mini", "api_key": "k"})
"""

from __future__ import annotations

from .plane import FakeControlPlane, fake_control_plane

__all__ = ["FakeControlPlane", "fake_control_plane"]
