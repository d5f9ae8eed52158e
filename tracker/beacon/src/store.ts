/** Storage by name; an absent one is undefined. */
type Store = Record<string, string | undefined>;

/** Reaching for a blocked storage throws: then an object of the page. */
const reach = (name: "localStorage" | "sessionStorage"): Store => {
  try {
    return (window[name] || {}) as unknown as Store;
  } catch {
    return {};
  }
};

export const local = reach("localStorage");
export const tabLocal = reach("sessionStorage");

/** What must not, or does not, go onto the device lives as long as the page. */
export const memory: Store = {};

export const get = (name: string): string | undefined => memory[name] || local[name];

/** Keeps a value and returns it; a full storage refuses. */
export const put = (name: string, value: string, store = local): string => {
  try {
    store[name] = value;
  } catch {
    memory[name] = value;
  }
  return value;
};

export const drop = (name: string): void => {
  delete local[name];
  delete memory[name];
};
