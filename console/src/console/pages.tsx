import type { ComponentType, ReactNode } from "react";
import { AuditPage } from "./pages/audit/AuditPage";
import { ComponentsPage } from "./pages/components/ComponentsPage";
import { HistoryPage } from "./pages/history/HistoryPage";
import { KeysPage } from "./pages/keys/KeysPage";
import { ModelsPage } from "./pages/models/ModelsPage";
import { NewModelPage } from "./pages/models/NewModelPage";
import { SettingsPage } from "./pages/models/SettingsPage";
import { RolloutPage } from "./pages/rollout/RolloutPage";
import { AuditIcon, ComponentsIcon, KeysIcon, ModelsIcon } from "./parts/icons";

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
    routes: [
      { path: "/models", component: ModelsPage },
      { path: "/models/new", component: NewModelPage },
      { path: "/models/:id", component: SettingsPage },
      { path: "/models/:id/history", component: HistoryPage },
      { path: "/models/:id/rollout", component: RolloutPage },
    ],
  },
  {
    path: "/components",
    name: "Components",
    icon: <ComponentsIcon />,
    scope: "component:read",
    routes: [{ path: "/components", component: ComponentsPage }],
  },
  {
    path: "/keys",
    name: "Keys",
    icon: <KeysIcon />,
    scope: "api_key:admin",
    routes: [{ path: "/keys", component: KeysPage }],
  },
  {
    path: "/audit",
    name: "Audit",
    icon: <AuditIcon />,
    scope: "audit:read",
    routes: [{ path: "/audit", component: AuditPage }],
  },
];
