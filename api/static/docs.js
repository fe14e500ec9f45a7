// Starts Swagger UI on the description that the page names; nothing is asked of another host.
const place = document.getElementById("swagger-ui");
const dark = matchMedia("(prefers-color-scheme: dark)");

function followColorScheme() {
  document.documentElement.classList.toggle("dark-mode", dark.matches);
}

// Swagger UI takes a `_` in the address for a space written as it was in old days, opens another operation's key
// besides and logs an error. Our operation ids have `_`, so the address is read here, as it is.
function openLinked({ layoutActions, layoutSelectors }, hash) {
  if (!hash) return;
  const key = layoutSelectors.isShownKeyFromUrlHashArray(hash.replace(/^#!?\/?/, "").split("/"));
  const [kind, tag] = key;
  if (kind === "operations") layoutActions.show(layoutSelectors.isShownKeyFromUrlHashArray([tag]), true);
  layoutActions.show(key, true);
  layoutActions.scrollTo(key);
  layoutActions.scrollToVirtualizedOperation(key);
}

const DeepLinks = {
  statePlugins: { layout: { wrapActions: { parseDeepLinkHash: (_, system) => (hash) => openLinked(system, hash) } } },
};

// Each form of the Authorize dialog takes the focus as it appears, so the last one keeps it, and the first ones, by
// which people log in, are scrolled out of sight.
function showFirstForm() {
  place.querySelector(".modal-ux-content")?.scrollTo(0, 0);
  place.querySelector(".modal-ux-content input")?.focus();
}

const FirstFormFirst = ({ React }) => ({
  wrapComponents: {
    authorizationPopup: (Popup) => (props) => {
      React.useLayoutEffect(showFirstForm, []);
      return React.createElement(Popup, props);
    },
  },
});

followColorScheme();
dark.addEventListener("change", followColorScheme);

SwaggerUIBundle({
  domNode: place,
  url: place.dataset.openapiUrl,
  plugins: [DeepLinks, FirstFormFirst],
  deepLinking: true,
  displayRequestDuration: true,
  filter: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
