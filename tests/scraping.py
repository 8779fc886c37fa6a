"""What /metrics of a server says."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

Values = dict[str, float]


async def scrape(url: str) -> Values:
    """Each sample by its name and the values of its labels."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        response = await http.get(f"{url}/metrics")
    assert response.status_code == 200, response.text
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
