// Swagger UI at /docs, as a reader uses it: every operation of the document is on the page,
// "Authorize" takes an access token, and "Try it out" then calls the API. Nothing is fetched from
// other hosts, the Content-Security-Policy blocks nothing, and the console stays free of errors.

import { chromium } from "playwright-core";

const { ACCESS_TOKEN, BASE_URL, CHROMIUM, DIRECTORY } = process.env;
const METHODS = ["get", "put", "post", "delete", "patch", "head", "options"];

// Chromium's own services would call out, and a root user has no sandbox.
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const faults = [];

function expect(truth, fault) {
  if (!truth) faults.push(fault);
}

/** Notes whatever the page must not do. */
async function watch(page) {
  const { origin } = new URL(BASE_URL);
  page.on("request", (request) => {
    const url = new URL(request.url());
    expect(url.protocol === "data:" || url.origin === origin, `request to another host: ${url}`);
  });
  page.on("console", (message) => {
    expect(message.type() !== "error", `console: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => faults.push(`uncaught: ${error}`));
  await page.exposeFunction("reportViolation", (violation) => faults.push(`CSP: ${violation}`));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      reportViolation(`${event.effectiveDirective} blocked ${event.blockedURI || "inline code"}`);
    });
  });
}

async function documentedOperations() {
  const answer = await fetch(`${BASE_URL}/openapi.json`);
  const { paths } = await answer.json();
  return Object.entries(paths).flatMap(([path, item]) =>
    METHODS.filter((method) => method in item).map((method) => `${method.toUpperCase()} ${path}`),
  );
}

/** Methods and paths as the page shows them; Swagger UI puts invisible break points into paths. */
async function shownOperations(page) {
  const texts = await page.locator(".opblock-summary").evaluateAll((summaries) =>
    summaries.map((summary) => {
      const method = summary.querySelector(".opblock-summary-method").textContent;
      const path = summary.querySelector("[data-path]").getAttribute("data-path");
      return `${method} ${path}`;
    }),
  );
  return texts.map((text) => text.replaceAll("\u200b", ""));
}

async function authorize(page) {
  await page.locator(".scheme-container button.authorize").click();
  const dialogue = page.locator(".dialog-ux .modal-ux");
  await dialogue.locator("input").first().fill(ACCESS_TOKEN);
  await dialogue.locator("button.authorize").first().click();
  await dialogue.locator("button.btn-done").click();
}

/** Calls GET /users/me from the page and returns the status that it shows. */
async function tryOut(page) {
  const operation = page.locator(".opblock-get", { has: page.locator('[data-path="/users/me"]') });
  await operation.locator(".opblock-summary-control").click();
  await operation.locator("button.try-out__btn").click();
  await operation.locator("button.execute").click();
  const status = operation.locator(".live-responses-table tbody .response-col_status").first();
  await status.waitFor();
  await operation.scrollIntoViewIfNeeded();
  return (await status.innerText()).trim();
}

const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
const page = await browser.newPage({ viewport: { width: 1280, height: 1600 } });
page.setDefaultTimeout(20_000);
let operations = [];
let status;
try {
  await watch(page);
  await page.goto(`${BASE_URL}/docs`);
  await page.locator(".opblock").first().waitFor();
  operations = await documentedOperations();
  const shown = await shownOperations(page);
  const missing = operations.filter((operation) => !shown.includes(operation));
  expect(missing.length === 0, `not on the page: ${missing.join(", ")}`);
  await authorize(page);
  status = await tryOut(page);
  expect(status === "200", `"Try it out" on GET /users/me shows ${status}`);
} catch (error) {
  faults.push(String(error));
} finally {
  await page.screenshot({ path: `${DIRECTORY}/docs.png`, fullPage: true });
  await browser.close();
}

for (const fault of faults) console.error(fault);
if (faults.length > 0) process.exit(1);
console.log(`${operations.length} operations on the page; GET /users/me tried out after "Authorize": ${status}`);
console.log("no CSP violations, no requests to other hosts, no console errors");
