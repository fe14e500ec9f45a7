// Starts ReDoc on the description that the page names, without telemetry. The description is handed over as an
// object, because for an address ReDoc adds buttons that send the reader and the address to other hosts.
const place = document.getElementById("redoc");
const url = place.dataset.openapiUrl;

async function start() {
  const [{ init }, answer] = await Promise.all([import(place.dataset.bundleUrl), fetch(url)]);
  init(await answer.json(), { disableTelemetry: true, downloadUrls: [{ title: "openapi.json", url }] }, place);
}

start().catch((error) => {
  place.textContent = `The description at ${url} could not be shown: ${error.message}`;
});
