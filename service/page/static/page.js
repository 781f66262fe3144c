// Copyright: (c) 2026, the wasmfaas.platform authors; GPL-3.0-or-later
// What a page cannot do by itself: follow a build, take dropped directories, copy. Everything else works without this.
"use strict";

const REFRESH_MILLISECONDS = 1000;
const MOST_LOG_NODES = 5000;
const LEFT_OUT = new Set([".git", ".hg", ".svn", "node_modules", "target", ".venv", "venv", "__pycache__", ".spin"]);

// --- Parts of the page that change while a deployment runs -------------------------------------------------------

/** Replace the parts marked `data-live` by those of a newly rendered page. */
function replaceLiveParts(fresh) {
  for (const old of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(old.id);
    if (!now || old.outerHTML === now.outerHTML) continue;
    if (old.dataset.live === "text") {
      if (old.textContent !== now.textContent) old.textContent = now.textContent; // announced by screen readers
      continue;
    }
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    const next = document.importNode(now, true);
    old.replaceWith(next);
    enhance(next);
    if (focused) document.getElementById(focused)?.focus();
  }
}

async function refresh() {
  const url = new URL(location.href);
  url.searchParams.set("log", "no");
  const answer = await fetch(url, { headers: { Accept: "text/html" } });
  if (answer.redirected || answer.status === 401) location.reload();
  if (answer.ok) replaceLiveParts(new DOMParser().parseFromString(await answer.text(), "text/html"));
}

async function refreshWhileUnfinished() {
  while (document.querySelector("[data-unfinished]")) {
    await new Promise((done) => setTimeout(done, REFRESH_MILLISECONDS));
    if (document.hidden) continue;
    try {
      await refresh();
    } catch {
      // The service is not reachable: it is asked again.
    }
  }
}

// --- The live log ---------------------------------------------------------------------------------------------------

/** Append the log's new lines. A hidden tab gives its connection back: a browser has six for one host. */
function followLog(log) {
  let offset = log.dataset.offset;
  let source = null;
  let ended = false;
  const open = () => {
    if (ended || source || document.hidden) return;
    source = new EventSource(`${log.dataset.log}?follow=true&offset=${offset}`);
    source.addEventListener("line", (event) => {
      offset = event.lastEventId;
      const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
      log.append(`${event.data}\n`);
      while (log.childNodes.length > MOST_LOG_NODES) log.firstChild.remove();
      if (atEnd) log.scrollTop = log.scrollHeight;
    });
    source.addEventListener("end", () => {
      ended = true;
      close();
      refresh().catch(() => {}); // if it cannot be reached now, refreshWhileUnfinished asks again
    });
  };
  const close = () => {
    source?.close();
    source = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  log.scrollTop = log.scrollHeight;
  open();
}

// --- Uploads --------------------------------------------------------------------------------------------------------

const isLeftOut = (path) => path.split("/").some((part) => LEFT_OUT.has(part));
const isArchive = (name) => /\.(zip|tar|tgz|tar\.gz)$/i.test(name);
const readable = (bytes) => (bytes < 1024 * 1024 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`);

/** All files below a dropped entry, as [relative path, File]. */
async function filesOf(entry) {
  const path = entry.fullPath.replace(/^\//, "");
  if (isLeftOut(path)) return [];
  if (entry.isFile) return [[path, await new Promise((done, failed) => entry.file(done, failed))]];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed)); // at most 100 at a time
    if (!some.length) return found;
    for (const child of some) found.push(...(await filesOf(child)));
  }
}

function enhanceUpload(form) {
  const { archive, file: directory, name } = form.elements;
  const drop = form.querySelector("[data-drop]");
  const status = form.querySelector("[data-status]");
  const alert = form.querySelector("[data-alert]");
  const texts = form.dataset;
  let chosen = []; // [relative path, File]

  const choose = (files) => {
    chosen = files;
    const bytes = files.reduce((sum, [, file]) => sum + file.size, 0);
    alert.textContent = bytes > Number(texts.mostBytes) ? texts.tooLarge : "";
    status.textContent = texts.chosen.replace("{files}", files.length).replace("{size}", readable(bytes));
    if (name && !name.value && files.length) {
      const first = files[0][0].split("/")[0].replace(/\.(zip|tar|tgz|tar\.gz)$/i, "");
      name.value = first.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 63);
    }
  };

  drop.hidden = false;
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    archive.value = directory.value = "";
    // The list is empty after the first wait, so the entries are taken first.
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    choose((await Promise.all(entries.map(filesOf))).flat());
  });
  archive.addEventListener("change", () => {
    directory.value = "";
    choose([...archive.files].map((file) => [file.name, file]));
  });
  directory.addEventListener("change", () => {
    archive.value = "";
    choose([...directory.files].map((file) => [file.webkitRelativePath, file]).filter(([path]) => !isLeftOut(path)));
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!chosen.length) {
      alert.textContent = texts.nothing;
      return;
    }
    if (chosen.reduce((sum, [, file]) => sum + file.size, 0) > Number(texts.mostBytes)) {
      alert.textContent = texts.tooLarge;
      return;
    }
    alert.textContent = "";
    const data = new FormData(form);
    data.delete("archive");
    data.delete("file");
    if (chosen.length === 1 && isArchive(chosen[0][0])) data.append("archive", chosen[0][1]);
    else for (const [path, file] of chosen) data.append("file", file, path);
    send(form, data, status, alert);
  });
}

/** Send a form and show its answer; XMLHttpRequest tells how much is sent, fetch does not. */
function send(form, data, status, alert) {
  const button = form.querySelector("button.main");
  const request = new XMLHttpRequest();
  button.disabled = true;
  request.responseType = "document";
  request.open("POST", form.action);
  request.upload.addEventListener("progress", (event) => {
    const percent = event.lengthComputable ? Math.floor((100 * event.loaded) / event.total) : 0;
    status.textContent = form.dataset.sending.replace("{percent}", percent);
  });
  request.addEventListener("load", () => {
    button.disabled = false;
    status.textContent = "";
    if (request.status < 400) {
      location.assign(request.responseURL);
      return;
    }
    const problem = request.response?.querySelector(".problem");
    alert.textContent = problem ? problem.textContent.replace(/\s+/g, " ").trim() : `${request.status} ${request.statusText}`;
  });
  request.addEventListener("error", () => {
    button.disabled = false;
    status.textContent = "";
    alert.textContent = form.dataset.lost;
  });
  request.send(data);
}

// --- Small conveniences -----------------------------------------------------------------------------------------------

function enhanceCopy(button) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
    button.textContent = button.dataset.copied;
  });
}

/** Ask before edited files are left behind. */
function enhanceEditor(form) {
  let edited = false;
  form.addEventListener("input", () => (edited = true));
  form.addEventListener("submit", () => (edited = false));
  window.addEventListener("beforeunload", (event) => edited && event.preventDefault());
}

function enhance(root) {
  root.querySelectorAll("[data-copy]").forEach(enhanceCopy);
}

enhance(document);
document.querySelectorAll("[data-upload]").forEach(enhanceUpload);
document.querySelectorAll("[data-editor]").forEach(enhanceEditor);
document.querySelectorAll("[data-log]").forEach(followLog);
refreshWhileUnfinished();
