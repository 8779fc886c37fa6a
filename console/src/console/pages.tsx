import type { ComponentType, ReactNode } from "react";
import { ModelsIcon } from "./parts/icons";
import { ModelsPage } from "./pages/models/ModelsPage";

export interface PageEntry {
  /** where the navigation leads */
  path: string;
  name: string;
  icon: ReactNode;
  /** the scope without which it is of no use */
  scope: string;
  /** every address of the page; the first that matches is shown */
  routes: { path: string; component: ComponentType }[];
}

/** The navigation, in its order. The first is where one begins. */
export const PAGES: readonly [PageEntry, ...PageEntry[]] = [
  {
    path: "/models",
    name: "Models",
    icon: <ModelsIcon />,
    scope: "model_config:read",
    routes: [{ path: "/models", component: ModelsPage }],
  },
];
