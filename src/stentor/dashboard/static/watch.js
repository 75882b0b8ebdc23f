/* Says that the connection to Stentor is lost, and that it is back. The page itself goes on by htmx. */
"use strict";
(() => {
  function lost(is) {
    for (const each of document.querySelectorAll(".offline")) each.hidden = !is;
  }

  document.addEventListener("htmx:sse:error", (event) => {
    if (event.detail.status === 401) location.reload(); // signed out meanwhile: leads to where one signs in
    lost(true);
  });
  document.addEventListener("htmx:sse:after:connection", () => lost(false));
})();
