/** The details of an entry as one line: `alias general, version 3`. What is nested is shown as JSON. */
export function detailsText(details: unknown): string {
  if (typeof details !== "object" || details === null) {
    return "";
  }
  return Object.entries(details)
    .map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : String(value)}`)
    .join(", ");
}
