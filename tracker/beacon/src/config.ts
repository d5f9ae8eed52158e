/** How a page configures the beacon: the data-* attributes of the script element, or what init is given. */
export interface Config {
  /** The shop's public key. */
  key: string;
  /** Events go to v1/events beside this address: the script's own unless data-url says otherwise. */
  url: string;
  /** "required": nothing is sent or stored before consent is called; "cookieless": until then events go without ids. */
  consent?: string;
  /** Present: the fragment is part of the route, so that a change of it is a page view. */
  hash?: string;
  /** Present: what is recorded, sent and answered is written to the console. */
  debug?: string;
  /** "off": pushes to dataLayer are not read. */
  ga4?: string;
}

export let config: Config;

export const configure = (given: Config): void => void (config = given);

/** Writes to the console where the page asks for it. */
export const log = (...said: unknown[]): void => {
  if (config.debug != null) console.log("millrace", ...said);
};
