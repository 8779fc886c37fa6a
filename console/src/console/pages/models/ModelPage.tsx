import type { ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { Page } from "../../parts/Page";
import { useMay } from "../../signed";

interface Props {
  /** the config's */
  id: string;
  /** undefined until it is known */
  alias?: string | undefined;
  /** which of the pages about a model this is */
  title: string;
  lead?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

/** One of the pages about a model, with the way to the others. */
export function ModelPage({ id, alias = "…", title, lead, actions, children }: Props) {
  const [location] = useLocation();
  const maySeeComponents = useMay("component:read");
  const base = `/models/${encodeURIComponent(id)}`;
  const tabs = [
    { href: base, name: "Settings", shown: true },
    { href: `${base}/history`, name: "History", shown: true },
    { href: `${base}/rollout`, name: "Rollout", shown: maySeeComponents },
  ];
  return (
    <Page
      title={alias}
      windowTitle={`${title} of ${alias}`}
      back={{ href: "/models", name: "Models" }}
      lead={lead}
      actions={actions}
    >
      <nav className="tabs" aria-label={`About ${alias}`}>
        {tabs
          .filter(({ shown }) => shown)
          .map(({ href, name }) => (
            <Link key={href} href={href} aria-current={location === href ? "page" : undefined}>
              {name}
            </Link>
          ))}
      </nav>
      {children}
    </Page>
  );
}
