const WORDS: Record<string, string> = { api: "API", url: "URL", id: "ID", ca: "CA", json: "JSON", aws: "AWS", iam: "IAM" };

/** A name of the API as people read it: `accessKeyId` is "Access key ID". */
export function labelOf(name: string): string {
  const words = name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase().split(/[\s_]+/);
  const text = words.map((word) => WORDS[word] ?? word).join(" ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
