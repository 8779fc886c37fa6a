import { useEffect, useRef, type ReactNode } from "react";
import { Link } from "wouter";

interface Props {
  title: string;
  /** what stands in the window's title in place of `title` */
  windowTitle?: string;
  /** where this page belongs to, as a way back */
  back?: { href: string; name: string };
  /** a line below the title */
  lead?: ReactNode;
  /** buttons beside the title */
  actions?: ReactNode;
  children: ReactNode;
}

let shown = false;

/** A page of the console: its title in the window, and where the keyboard and screen readers go when it is entered. */
export function Page({ title, windowTitle = title, back, lead, actions, children }: Props) {
  const heading = useRef<HTMLHeadingElement>(null);

  useEffect(() => {
    document.title = `${windowTitle} · Modelwire`;
  }, [windowTitle]);

  useEffect(() => {
    // The first page is entered by loading it, where the browser decides about the focus.
    if (shown) heading.current?.focus();
    shown = true;
  }, []);

  return (
    <div className="page">
      <div className="page-head">
        <div>
          {back !== undefined && (
            <Link className="back" href={back.href}>
              ← {back.name}
            </Link>
          )}
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          {lead !== undefined && <div className="lead">{lead}</div>}
        </div>
        {actions !== undefined && <div className="actions">{actions}</div>}
      </div>
      {children}
    </div>
  );
}
