// The script element's own attributes are the configuration: a page needs no inline script, so a strict CSP is no obstacle.
const script = document.currentScript as HTMLScriptElement;

/** The shop's public key; without it the beacon does nothing. */
export const key = script?.dataset.key;

/** Where events go: beside the script, so that a path prefix or a first-party host name works without another setting. */
export const endpoint = script ? new URL("v1/events?key=" + encodeURIComponent(key || ""), script.src).href : "";

/** data-consent="required": nothing is sent or stored until the page calls millrace.consent. */
export const consentRequired = script?.dataset.consent === "required";

/** data-hash: the fragment is part of the route, so a change of it is a page view. */
export const hashRoutes = script && "hash" in script.dataset;
