const hex = (n: number, width: number): string => n.toString(16).padStart(width, "0");

/** A UUIDv7 (RFC 9562): the milliseconds of now, then 74 random bits. */
export function uuid(now = Date.now()): string {
  const random = crypto.getRandomValues(new Uint8Array(10));
  random[0] = (random[0] & 0x0f) | 0x70; // version 7
  random[2] = (random[2] & 0x3f) | 0x80; // variant
  let id = hex(now, 12);
  random.forEach((byte) => (id += hex(byte, 2)));
  return id.replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
