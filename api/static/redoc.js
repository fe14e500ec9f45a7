// Starts ReDoc on the description that the page names, without telemetry. The description is handed over as an
// object, because for an address ReDoc adds buttons that send the reader and the address to other hosts.
const place = document.getElementById("redoc");
const { bundleUrl, homeUrl, logoUrl, openapiUrl } = place.dataset;

async function start() {
  const [{ init }, answer] = await Promise.all([import(bundleUrl), fetch(openapiUrl)]);
  const description = await answer.json();
  description.info["x-logo"] = { url: logoUrl, href: homeUrl, altText: "Back to the start page" };
  init(description, { disableTelemetry: true }, place);
}

start().catch((error) => {
  place.textContent = `The description at ${openapiUrl} could not be shown: ${error.message}`;
});
