/** Set by the build: whether this script also observes the page, or records page views and what it is told alone. */
declare const OBSERVE: boolean;
