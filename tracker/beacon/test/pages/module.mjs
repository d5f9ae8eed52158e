import { init } from "/package/index.mjs";

const options = { key: document.querySelector("meta[name=key]").content, url: location.origin + "/" };
const beacon = init(options);
if (init(options) === beacon) beacon.track("marker");
