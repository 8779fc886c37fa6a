import { expect, it } from "vitest";
import { labelOf } from "./labels";
import { initials } from "./ProviderIcon";
import { rolloutText } from "./Rollout";
import { ago } from "./Time";

it("says how far a version has come", () => {
  const counts = { applied: 37, refused: 1, pending: 2, offline: 0 };
  expect(rolloutText(counts)).toBe("37 of 40 applied, 1 refused, 2 pending");
  expect(rolloutText({ applied: 0, refused: 0, pending: 0, offline: 3 })).toBe("0 of 3 applied, 3 offline");
  expect(rolloutText({ applied: 0, refused: 0, pending: 0, offline: 0 })).toBe("Not in use");
});

it("stands a provider's initials for it", () => {
  expect(["openai", "vertex_ai", "aws-bedrock-mantle", "_"].map(initials)).toEqual(["OP", "VA", "AB", "?"]);
});

it("reads the API's names as people do", () => {
  expect(["apiKey", "accessKeyId", "tokenUrl", "caCert", "credentialsJson", "extra_headers"].map(labelOf)).toEqual([
    "API key",
    "Access key ID",
    "Token URL",
    "CA cert",
    "Credentials JSON",
    "Extra headers",
  ]);
});

it("says how long ago something was", () => {
  const now = Date.parse("2026-05-01T12:00:00Z");
  expect(ago("2026-05-01T11:59:30Z", now)).toBe("just now");
  expect(ago("2026-05-01T11:55:00Z", now)).toBe("5 minutes ago");
  expect(ago("2026-04-30T12:00:00Z", now)).toBe("yesterday");
  expect(ago("2026-05-01T15:00:00Z", now)).toBe("in 3 hours");
});
