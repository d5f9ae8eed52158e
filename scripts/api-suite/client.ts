// A shop's program over the client that is made of the document: node client.js BASE_URL SECRET_KEY. It prints what it was recommended.
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

declare const process: { argv: string[]; exit(code: number): never };

function must(holds: boolean, what: string, seen: unknown): void {
  if (!holds) {
    console.error(what, JSON.stringify(seen));
    process.exit(1);
  }
}

const [, , baseUrl, key] = process.argv;
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });

const put = await client.PUT("/v1/items/{id}", {
  params: { path: { id: "lamp/1" } },
  body: { title: "Lamp", categories: ["Camping"], price: 19.5, currency: "EUR" },
});
must(put.response.status === 201 && put.data?.item_id === "lamp/1", "the item was not made", put);

const list = await client.POST("/v1/recommend", { body: { placement: "popular", limit: 5, dry_run: true, fields: ["title"] } });
must(list.data !== undefined && list.data.items.length > 0, "nothing was recommended", list);

const wrong = await client.GET("/v1/recommend", { params: { query: { placement: "nowhere" } } });
must(wrong.error?.type === "urn:millrace:problem:unknown-placement" && !!wrong.error.hint, "no problem with a hint", wrong);

console.log(list.data?.items.map((item) => item.item_id).join(" "));
