/* The API key: asked for when the service wants one, kept for this tab alone. */

import { $ } from "./dom.js";
import { sentence } from "./words.js";

const PLACE = "liveshelf-key";
let asking = null, declined = false;

export const currentKey = () => sessionStorage.getItem(PLACE) ?? "";

/* Whether there is a new key to try. One dialog serves all who ask at the same time. */
export function askForKey(why, { quietly = false, refused = false } = {}) {
  if (quietly && declined) return Promise.resolve(false);
  $("ask-key-title").textContent = refused ? "That key does not open this shelf" : "This shelf asks for a key";
  $("ask-key-text").textContent = sentence(why);
  asking ??= answer().finally(() => { asking = null; });
  return asking;
}

function answer() {
  const dialog = $("ask-key"), back = document.activeElement;
  $("key-text").value = "";
  return new Promise((done) => {
    const end = (key) => {
      off.abort();
      dialog.close();
      declined = !key;
      if (key) sessionStorage.setItem(PLACE, key);
      $("key").hidden = false;
      back?.focus?.();
      done(Boolean(key));
    };
    const off = new AbortController(), { signal } = off;
    $("key-form").addEventListener("submit", (event) => { event.preventDefault(); end($("key-text").value.trim()); }, { signal });
    $("no-key").addEventListener("click", () => end(""), { signal });
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); end(""); }, { signal });
    dialog.showModal();
  });
}

/* A button to give another key, once one was asked for. `changed` runs when there is one. */
export function offerKey(changed) {
  $("key").hidden = !currentKey();
  $("key").addEventListener("click", async () => { if (await askForKey("Give the key to use from now on.")) changed(); });
}
