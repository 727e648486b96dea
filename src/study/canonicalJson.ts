/** What JSON can hold, and nothing else: the alphabet of configurations and identities. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/**
 * JSON with sorted keys, no spaces and one spelling per number: equal values give equal text, so its hash is an identity.
 * Keys whose value is undefined are left out, as JSON.stringify does.
 * @throws TypeError for what JSON cannot hold: NaN, infinities, functions, class instances.
 */
export function canonicalJson(value: JsonValue): string {
  if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new TypeError(`${value} has no place in a configuration`);
    return JSON.stringify(value); // JSON.stringify(-0) is "0": the two zeros are one value here
  }
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value === "object" && isPlain(value)) {
    const entries = Object.entries(value as Record<string, JsonValue | undefined>)
      .filter((entry): entry is [string, JsonValue] => entry[1] !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(",")}}`;
  }
  throw new TypeError(`a ${typeof value} has no place in a configuration`);
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
