const HUES = 8;

/** The first letters of a name's first two words: `vertex_ai` is VA. */
export function initials(name: string): string {
  const words = name.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const letters = words.length > 1 ? words.slice(0, 2).map((word) => word[0]) : [(words[0] ?? "?").slice(0, 2)];
  return letters.join("").toUpperCase();
}

/** A provider by its initials, in a colour of its own; null stands for none. */
export function ProviderIcon({ provider }: { provider: string | null }) {
  if (provider === null) {
    return <span className="provider-icon none" aria-hidden="true" />;
  }
  const hue = [...provider].reduce((sum, letter) => (sum * 31 + (letter.codePointAt(0) ?? 0)) % 997, 7) % HUES;
  return (
    <span className={`provider-icon hue-${hue}`} aria-hidden="true">
      {initials(provider)}
    </span>
  );
}
