// All scenarios side by side in one browser. MILLRACE_TEST_GOAL runs those of one goal alone.
import { after, before, describe } from "node:test";
import delivery from "./delivery.mjs";
import { launch, quit } from "./harness.mjs";
import outages from "./outages.mjs";
import recommendations from "./recommendations.mjs";
import surroundings from "./surroundings.mjs";
import tracking from "./tracking.mjs";

describe("beacon", { concurrency: 3 }, () => {
  before(launch);
  after(quit);
  outages(); // the longest first
  delivery();
  tracking();
  recommendations();
  surroundings();
});
