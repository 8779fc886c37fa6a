import "graphiql/style.css";
import "../shared/base.css";
import "./graphiql.css";
import { show } from "../shared/page";
import { Explorer } from "./Explorer";

show((signed) => <Explorer {...signed} />);
