// The page: a photo comes in, is painted over, filled, and goes out as a PNG.

import { attachBrush } from "./brush.js";
import { fillPhoto } from "./fill.js";
import { encodePng, readHole, readPhoto, toBlob } from "./images.js";
import { Network } from "./network.js";

const find = (id) => document.getElementById(id);
const drop = document.querySelector(".drop");
const strokes = document.querySelector(".strokes");
const brush = { image: "", value: "" };
let photo = null;
let result = null; // The PNG
let busy = false;
let showPhoto;
attachBrush(find("brush"), brush, (_, handler) => (showPhoto = handler));

function say(text, isError = false) {
  find("status").textContent = text;
  find("status").classList.toggle("error", isError);
}

function showProgress(done, total) {
  find("progress").hidden = done >= total;
  find("progress").max = total;
  find("progress").value = done;
}

function showUrl(blob, previous) {
  if (previous) URL.revokeObjectURL(previous);
  return blob ? URL.createObjectURL(blob) : "";
}

// Run a task alone: what is pressed in the meantime does nothing, errors are shown.
async function alone(task) {
  if (busy) return;
  busy = true;
  updateButtons();
  try {
    await task();
  } catch (error) {
    say(error.message, true);
  }
  showProgress(1, 1);
  busy = false;
  updateButtons();
}

function updateButtons() {
  find("fill").disabled = busy || photo === null;
  find("continue").disabled = busy;
}

async function open(file) {
  if (!file) return;
  say("Opening the photo …");
  const opened = await readPhoto(file);
  photo = { ...opened, name: file.name };
  brush.image = showUrl(await toBlob(opened.preview), brush.image);
  brush.value = "";
  showPhoto();
  find("result").hidden = true;
  find("photo-note").textContent = `${file.name}, ${photo.width} × ${photo.height} pixels`;
  say("Paint over what should go, then press Fill.");
  // While the photo is painted on, the network can be loaded.
  (await network).load().catch(() => {});
}

async function fill() {
  const { width, height } = photo;
  const hole = readHole(strokes, width, height);
  const pixels = hole.reduce((sum, x) => sum + x, 0);
  if (!brush.value || !pixels) {
    throw new Error("There is no hole yet: paint over what should go.");
  }
  if (pixels === hole.length) {
    throw new Error("Leave a part of the photo unpainted.");
  }
  say("Loading the network …");
  const filler = await network;
  const device = await filler.load();
  const run = (input) => filler.run(input);
  const start = performance.now();
  const filled = await fillPhoto(photo, hole, filler.size, run, (done, count) => {
    say(`Filling part ${Math.min(done + 1, count)} of ${count} …`);
    showProgress(done, count);
  });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  await showResult(filled);
  const total = (width * height).toLocaleString("en");
  say(
    `Filled ${pixels.toLocaleString("en")} of ${total} pixels in ${seconds} s ` +
      `on the ${device}; all others are unchanged.`,
  );
}

async function showResult(filled) {
  result = await encodePng(filled);
  find("filled").src = showUrl(result, find("filled").src);
  find("download").href = find("filled").src;
  find("download").download = resultName();
  find("filled").style.width = document.querySelector(".frame").style.width;
  find("result").hidden = false;
  find("result").scrollIntoView({ block: "nearest", behavior: "smooth" });
}

function resultName() {
  return photo.name.replace(/(_filled)?\.[^.]*$/, "") + "_filled.png";
}

async function describe() {
  const response = await fetch("keras_ctsdg.json");
  if (!response.ok) throw new Error("keras_ctsdg.json is missing beside this page.");
  const description = await response.json();
  const { preset, license } = description;
  if (preset) find("model").textContent = `Model: ${preset}, license: ${license}`;
  return new Network(description, (loaded, total) => {
    showProgress(loaded, total);
    const [done, all] = [loaded, total].map((bytes) => (bytes / 1e6).toFixed(0));
    if (busy) say(`Loading the network: ${done} of ${all} MB …`);
  });
}

const network = describe();
network.then(
  () => say("Add a photo to begin."),
  (error) => say(error.message, true),
);

const input = document.querySelector(".file");
input.addEventListener("change", () => {
  const [file] = input.files;
  // The same file may be chosen again.
  input.value = "";
  alone(() => open(file));
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const [file] = event.dataTransfer.files;
  alone(() => open(file));
});
document.addEventListener("paste", (event) => {
  const [file] = event.clipboardData.files;
  alone(() => open(file));
});
find("fill").addEventListener("click", () => alone(fill));
find("continue").addEventListener("click", () => {
  alone(() => open(new File([result], resultName(), { type: "image/png" })));
});
