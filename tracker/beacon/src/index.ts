// The package: import { init } from "@millrace/beacon".
import { start } from "./core";
import type { Millrace, Options } from "./types";

/** Starts the beacon on this page, or returns the one that runs. */
export const init = ({ hash, debug, ga4, ...given }: Options): Millrace =>
  start({ ...given, hash: hash ? "" : undefined, debug: debug ? "" : undefined, ga4: ga4 === false ? "off" : undefined });
