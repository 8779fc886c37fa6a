const KEPT = "modelwire:theme";

export type Theme = "light" | "dark";

/** The user's choice; null: as the system has it. */
export function chosenTheme(): Theme | null {
  try {
    const kept = localStorage.getItem(KEPT);
    return kept === "light" || kept === "dark" ? kept : null;
  } catch {
    return null;
  }
}

/** What is shown now. */
export function shownTheme(): Theme {
  return chosenTheme() ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

export function chooseTheme(theme: Theme): void {
  try {
    localStorage.setItem(KEPT, theme);
  } catch {
    // It holds for this page then.
  }
  document.documentElement.dataset["theme"] = theme;
}

/** Shows the choice of an earlier visit, and what is chosen in other tabs. */
export function followTheme(): void {
  const show = () => {
    const theme = chosenTheme();
    if (theme === null) delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
  };
  show();
  addEventListener("storage", show);
}
