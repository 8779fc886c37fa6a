import { useState } from "react";
import { Dialog } from "../../parts/Dialog";
import { Banner } from "../../parts/states";

/** The only moment at which a key can be read: it closes by its button alone. */
export function SecretOnce({ name, secret, onClose }: { name: string; secret: string; onClose: () => void }) {
  const [copied, setCopied] = useState(false);

  async function copy(): Promise<void> {
    await navigator.clipboard.writeText(secret);
    setCopied(true);
  }

  return (
    <Dialog
      title={`The key “${name}”`}
      onClose={() => undefined}
      onSubmit={onClose}
      actions={
        <>
          {window.isSecureContext && (
            <button className="button" type="button" onClick={() => void copy()}>
              {copied ? "Copied" : "Copy"}
            </button>
          )}
          <button className="button primary" type="submit">
            I have it
          </button>
        </>
      }
    >
      <Banner tone="warn">It is shown this once: only its hash is stored.</Banner>
      <output className="secret" aria-label="API key">
        {secret}
      </output>
    </Dialog>
  );
}
