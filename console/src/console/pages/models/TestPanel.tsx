import type { ReactNode } from "react";
import type { TestModelMutation } from "../../../gql/graphql";
import { Banner } from "../../parts/states";

export type TestResult = Extract<TestModelMutation["testModelConfig"], { __typename: "TestModelConfigPayload" }>;
type Problem = NonNullable<TestResult["error"]>["class"];

const PROBLEMS: Record<Problem, string> = {
  AUTHENTICATION: "The credentials were refused.",
  BAD_ANSWER: "The answer was too large.",
  BAD_REQUEST: "The provider does not take the call.",
  BLOCKED: "The settings of the server do not permit calls to this address.",
  CONNECTION: "There was no connection: name, port or certificate are wrong, or nobody listens.",
  INVALID_CONFIG: "A component would refuse these settings.",
  MISSING_SECRET: "A secret is missing, or is a reference that only components resolve.",
  NOT_FOUND: "The provider does not have this model, or nothing is at this address.",
  PROVIDER: "The provider failed.",
  RATE_LIMIT: "The provider asks for fewer requests, or wants to be paid.",
  TIMEOUT: "There was no whole answer in time.",
  UNSUPPORTED: "The server cannot try these credentials; a component may be able to.",
};

/** How a test of the settings ended: with what the model said, or why it did not. */
export function TestPanel({ testing, result }: { testing: boolean; result: TestResult | null }) {
  return (
    <div role="status" aria-label="Test" className="test">
      {testing && <Banner tone="info">Calling the model, with a system prompt and a tool…</Banner>}
      {!testing && result?.success && <Answer result={result} />}
      {!testing && result?.error && (
        <Banner tone="danger">
          <div>
            <p>
              <strong>{PROBLEMS[result.error.class]}</strong> <span className="pill danger">{result.error.class}</span>
            </p>
            <p className="breakable">{result.error.message}</p>
          </div>
        </Banner>
      )}
    </div>
  );
}

function Answer({ result }: { result: TestResult }) {
  const { answer, toolCalled, latencySeconds, promptTokens, completionTokens } = result;
  const facts: ReactNode[] = [
    latencySeconds !== null && `${latencySeconds.toFixed(2)} s`,
    promptTokens !== null && completionTokens !== null && `${promptTokens} + ${completionTokens} tokens`,
    toolCalled ? "called its tool" : "did not call its tool, which agents need",
  ].filter(Boolean);
  return (
    <Banner tone="good">
      <div>
        <p>
          <strong>The model answered.</strong> <span className="quiet">{facts.join(" · ")}</span>
        </p>
        {answer !== null && answer !== "" && <blockquote className="answer">{answer}</blockquote>}
      </div>
    </Banner>
  );
}
