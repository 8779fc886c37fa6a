import "graphiql/style.css";
import "../shared/base.css";
import "./graphiql.css";
import { createRoot } from "react-dom/client";
import { takeKeyFromAddress } from "../shared/session";
import { App } from "./App";

const root = document.getElementById("root");
if (root === null) {
  throw new Error("The page has no #root.");
}
createRoot(root).render(<App initialKey={takeKeyFromAddress()} />);
