import { createContext, use, useCallback, useState, type ReactNode } from "react";
import { CloseIcon } from "./icons";

type Tone = "good" | "danger" | "info";
type Show = (message: string, tone?: Tone) => void;

const ShowContext = createContext<Show>(() => undefined);
const SHOWN_MILLISECONDS = 8_000;

/** Gives a function that shows a short message for some seconds, and has it read out. */
export const useToast = (): Show => use(ShowContext);

export function Toasts({ children }: { children: ReactNode }) {
  const [toasts, setToasts] = useState<{ id: number; message: string; tone: Tone }[]>([]);
  const dismiss = (id: number) => setToasts((all) => all.filter((toast) => toast.id !== id));

  const show = useCallback<Show>((message, tone = "good") => {
    const id = Math.random();
    setToasts((all) => [...all.slice(-3), { id, message, tone }]);
    setTimeout(dismiss, SHOWN_MILLISECONDS, id);
  }, []);

  return (
    <ShowContext value={show}>
      {children}
      <div className="toasts" role="log" aria-label="Messages">
        {toasts.map(({ id, message, tone }) => (
          <div key={id} className={`toast ${tone}`}>
            <span>{message}</span>
            <button className="button plain small" type="button" aria-label="Dismiss" onClick={() => dismiss(id)}>
              <CloseIcon />
            </button>
          </div>
        ))}
      </div>
    </ShowContext>
  );
}
