// The script of <script async src=".../millrace.js">, configured by the attributes of its element.
import type { Config } from "./config";
import { start } from "./core";

const { dataset, src } = document.currentScript as HTMLScriptElement;
start({ url: src, ...dataset } as unknown as Config);
