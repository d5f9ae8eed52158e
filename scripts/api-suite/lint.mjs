// Holds an OpenAPI document against Redocly's recommended rules: node lint.mjs FILE. Prints what breaks them; exits 1 then.
import { readFileSync } from "node:fs";
import { createConfig, lintFromString } from "@redocly/openapi-core";

const file = process.argv[2];
const config = await createConfig({ extends: ["recommended"] });
const problems = await lintFromString({ source: readFileSync(file, "utf8"), absoluteRef: file, config });
for (const p of problems) {
  console.log(`${p.severity} ${p.ruleId}: ${p.message} (${p.location.map((l) => l.pointer ?? "").join(", ")})`);
}
process.exit(problems.length > 0 ? 1 : 0);
