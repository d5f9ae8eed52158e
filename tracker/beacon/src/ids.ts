/** A UUIDv7 (RFC 9562): the milliseconds of now, then 18 random digits, which are hexadecimal ones as well. */
export const uuid = (now = Date.now()): string => {
  const time = "0" + now.toString(16); // 12 digits until the year 2527
  const random = crypto.getRandomValues(new BigUint64Array(2)).join("");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}-8${random.slice(3, 6)}-${random.slice(6, 18)}`;
};

/**
 * The time of events and of requests, in Unix milliseconds. It runs on the page's own clock, so that setting the computer's
 * clock in between moves both alike, and the collector, which compares its own with sent_at, puts both right.
 */
export const clock = (): number => Math.round(performance.timeOrigin + performance.now());
