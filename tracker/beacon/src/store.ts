// What survives a page. Reading a blocked storage throws, and so does writing to a full one: then a cookie, then memory.

function usable(open: () => Storage): Storage | undefined {
  try {
    const storage = open();
    storage.setItem("mr.?", "");
    storage.removeItem("mr.?");
    return storage;
  } catch {
    return undefined;
  }
}

export const local = usable(() => localStorage);
export const tabLocal = usable(() => sessionStorage);

const enum Cookie {
  maxAge = 31536000, // a year in seconds
}

/** Small values where there is no localStorage: cookies are read once, because each access costs milliseconds. */
const cached: Record<string, string> = {};
if (!local) {
  try {
    for (const pair of document.cookie.split("; ")) {
      const [name, value] = pair.split("=");
      if (value) cached[name] = decodeURIComponent(value);
    }
  } catch {
    // No cookies either, or one of somebody else that does not decode.
  }
}

export function get(name: string): string {
  return (local ? local.getItem(name) : cached[name]) || "";
}

/** Keeps a value; an empty one is removed. */
export function put(name: string, value: string): void {
  try {
    if (local) {
      if (value) local.setItem(name, value);
      else local.removeItem(name);
      return;
    }
    cached[name] = value;
    document.cookie = `${name}=${encodeURIComponent(value)};path=/;samesite=lax;max-age=${value ? Cookie.maxAge : 0}`;
  } catch {
    // Full or forbidden: the value lives as long as the page.
  }
}
