// What pages need beyond htmx: times in the reader's zone, keys, uploads and questions before dangerous buttons.

const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.valueOf())) {
      time.textContent = format.format(at);
      time.title = time.dateTime;
    }
    time.dataset.local = "";
  }
}

// A button with data-confirm asks before its form is sent.
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm;
  if (question && !window.confirm(question)) {
    event.preventDefault();
    event.stopImmediatePropagation();
    return;
  }
  // A second press must not send the form again. (Its key would make it harmless, but slow.)
  const button = event.submitter;
  if (button && !event.target.hasAttribute("hx-post") && !event.defaultPrevented) {
    setTimeout(() => { button.disabled = true; });
    setTimeout(() => { button.disabled = false; }, 5000);
  }
}, true);

// An element with data-key is pressed, or gets the focus, by that key.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  const matches = [...document.querySelectorAll(`[data-key="${CSS.escape(event.key)}"]`)];
  if (!matches.length) return;
  event.preventDefault();
  if (!matches[0].matches("a, button")) matches[0].focus();
  // A key is pressed by accident more easily than a button.
  else if (!matches[0].dataset.ask || window.confirm(matches[0].dataset.ask)) matches[0].click();
});

// j and k go through the entries of a list.
document.addEventListener("keydown", (event) => {
  if (!["j", "k"].includes(event.key) || event.target.closest("input, textarea, select")) return;
  const entries = [...document.querySelectorAll("[data-entry]")];
  if (!entries.length) return;
  const now = entries.findIndex((entry) => entry.contains(document.activeElement));
  const next = Math.min(Math.max(now + (event.key === "j" ? 1 : -1), 0), entries.length - 1);
  entries[next].focus();
  entries[next].scrollIntoView({ block: "nearest" });
});

// Selects or clears all boxes of a form.
document.addEventListener("change", (event) => {
  const all = event.target.closest("[data-all]");
  if (!all) return;
  for (const box of document.querySelectorAll(`input[name="${CSS.escape(all.dataset.all)}"]`)) if (!box.disabled) box.checked = all.checked;
});

// Says how many boxes are chosen, and shows it in the box that stands for all.
function count() {
  for (const shown of document.querySelectorAll("[data-count]")) {
    const boxes = [...document.querySelectorAll(`input[name="${CSS.escape(shown.dataset.count)}"]:not(:disabled)`)];
    const chosen = boxes.filter((box) => box.checked).length;
    shown.textContent = `${chosen} of ${boxes.length} chosen`;
    const all = document.querySelector(`[data-all="${CSS.escape(shown.dataset.count)}"]`);
    if (all) all.checked = boxes.length > 0 && chosen === boxes.length;
  }
}
// Drafts that are left out stay so while one of them is edited, and people stay chosen while their mail is read.
function remember(boxes, place) {
  if (!boxes.length) return;
  const known = JSON.parse(sessionStorage.getItem(place) ?? "[]");
  for (const box of boxes) box.checked ||= known.includes(box.value) && !box.disabled;
  document.addEventListener("change", () => {
    const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    sessionStorage.setItem(place, JSON.stringify(chosen));
  });
}
remember([...document.querySelectorAll("input[name=leave_out]")], `left-out:${location.pathname}`);
const people = [...document.querySelectorAll("[data-remember] input[name=people]")];
const chosenAt = `chosen:${document.querySelector("#q")?.value}`;
remember(people, chosenAt);
// Whoever gets a draft is not chosen again by a later visit. A refused form has the choice in its boxes.
people[0]?.form.addEventListener("submit", () => sessionStorage.removeItem(chosenAt));

document.addEventListener("change", count);
count();

// The button that approves says how many drafts it approves.
function sayDrafts() {
  const button = document.querySelector("button[data-drafts]");
  if (!button) return;
  const all = Number(button.dataset.drafts);
  const left = document.querySelectorAll("input[name=leave_out]:checked").length;
  button.textContent = left === all ? "All are left out" : `Approve and send ${all - left}${left ? `, leave out ${left}` : ""}`;
  button.disabled = left === all;
  button.dataset.ask = `${button.textContent}?`;
}
document.addEventListener("change", sayDrafts);
sayDrafts();

// The button below the people says what comes next: first the email, which its empty fields ask for, then the drafts.
function sayNext() {
  const button = document.querySelector("button[data-makes]");
  if (!button) return;
  const chosen = document.querySelectorAll(`input[name="${CSS.escape(button.dataset.makes)}"]:checked`).length;
  const isWritten = document.getElementById("new-email").hidden || document.getElementById("subject").value.trim();
  const drafts = chosen === 1 ? "1 draft" : `${chosen} drafts`;
  button.textContent = isWritten && chosen ? `Make ${drafts}` : "Write the email";
}
document.addEventListener("input", sayNext);
document.addEventListener("change", sayNext);

// Shows the fields of a new email only where none is chosen, and wants them filled in.
function showNew() {
  const fields = document.getElementById("new-email");
  if (!fields) return;
  fields.hidden = Boolean(document.querySelector("select[data-shows]")?.value);
  for (const field of fields.querySelectorAll("input, textarea")) field.required = !fields.hidden;
}
document.addEventListener("change", showNew);
showNew();
sayNext();

// Puts the text of a button where the cursor is in a field: at its end, before somebody puts it elsewhere.
for (const button of document.querySelectorAll("[data-insert]")) {
  const field = document.getElementById(button.dataset.into);
  field.setSelectionRange(field.value.length, field.value.length);
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-insert]");
  if (!button) return;
  const field = document.getElementById(button.dataset.into);
  field.setRangeText(button.dataset.insert, field.selectionStart, field.selectionEnd, "end");
  field.focus();
});

// Uploads the chosen file: the console names a place, the browser sends the file there, and the import's page opens.
async function upload(form) {
  const file = form.querySelector("input[type=file]").files[0];
  const state = form.querySelector("[data-state]");
  const bar = form.querySelector("progress");
  if (!file) { state.textContent = "Choose a file first."; return; }
  const csrf = form.querySelector("input[name=csrf]").value;
  const body = new FormData(form);
  body.delete("file");
  body.set("file_name", file.name);
  body.set("size_bytes", String(file.size));
  const response = await fetch(form.action, { method: "POST", body, headers: { "x-csrf-token": csrf, accept: "application/json" } });
  const answer = await response.json();
  if (!response.ok) { state.textContent = answer.detail; return; }
  bar.hidden = false;
  await new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.upload.onprogress = (event) => {
      bar.max = event.total;
      bar.value = event.loaded;
      state.textContent = `Uploading: ${Math.round(100 * event.loaded / event.total)} %`;
    };
    request.onload = () => (request.status < 300 ? done() : failed(new Error(`The upload was refused (${request.status}).`)));
    request.onerror = () => failed(new Error("The upload was interrupted. Try again."));
    request.open("PUT", answer.url);
    request.send(file);
  });
  location.href = answer.page;
}

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-upload]");
  if (!form) return;
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  upload(form)
    .catch((error) => { form.querySelector("[data-state]").textContent = error.message; })
    .finally(() => { button.disabled = false; });
});

localTimes(document);
document.addEventListener("htmx:afterSettle", (event) => localTimes(event.target));
// A part that updates itself says so, so that an open page does not keep the session alive.
document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.elt.hasAttribute("data-live")) event.detail.headers["x-live"] = "1";
});
