import "../shared/base.css";
import "./console.css";
import { show } from "../shared/page";
import { App } from "./App";

show((signed) => <App {...signed} />);
