// Requests to the server of this page.

const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";

/** Return the JSON of a GET request; throws an Error with the server's reason. */
export async function fetchJson(url, options = {}) {
  return answered(await fetch(url, { headers: { accept: "application/json" }, ...options }));
}

/** Send JSON and return the JSON of the answer; throws an Error with the reason. */
export async function postJson(url, body) {
  const headers = { "content-type": "application/json", "x-csrf-token": token };
  return answered(await fetch(url, { method: "POST", headers, body: JSON.stringify(body) }));
}

async function answered(response) {
  const content = response.status === 204 ? null : await response.json();
  if (!response.ok) {
    const error = new Error(content?.error ?? response.statusText);
    throw Object.assign(error, { status: response.status, content });
  }
  return content;
}
