import { Banner } from "../../parts/states";

/** Warns until the default aliases have a model. `missing`: those that have none. */
export function SetupBanner({ missing }: { missing: readonly string[] }) {
  if (missing.length === 0) {
    return null;
  }
  const names = missing.map((alias) => `“${alias}”`).join(" and ");
  return (
    <Banner tone="warn">
      <p>
        <strong>{missing.length === 1 ? "A default model is" : "The default models are"} not configured.</strong>{" "}
        Components that ask for {names} wait until {missing.length === 1 ? "it has" : "they have"} a provider and a model.
      </p>
    </Banner>
  );
}
