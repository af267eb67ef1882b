// A brush to paint over a photo. `props.image` is the photo's preview as a data URL;
// `props.value` is the painted strokes as the data URL of a PNG of the same size, or ""
// if nothing is painted.
const find = (name) => element.querySelector("." + name);
const COLOR = "#ff2d55";
let strokes = [];
let currentStroke = null; // The stroke that is being painted
let position = null; // Of the brush, in pixels of the preview
let isErasing = false;

function brushWidth() {
  // The slider gives screen pixels, whatever the size of the preview.
  const canvas = find("strokes");
  return (Number(find("size").value) * canvas.width) / (canvas.clientWidth || 1);
}

function drawStrokes() {
  const canvas = find("strokes");
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = COLOR;
  for (const stroke of strokes) {
    context.globalCompositeOperation = stroke.isErasing
      ? "destination-out"
      : "source-over";
    context.lineWidth = stroke.width;
    context.beginPath();
    // Starting with a line of length zero draws a dot for a stroke of one point.
    context.moveTo(...stroke.points[0]);
    for (const point of stroke.points) context.lineTo(...point);
    context.stroke();
  }
}

function updateCursor() {
  const cursor = find("cursor");
  const canvas = find("strokes");
  cursor.hidden = position === null;
  if (position === null) return;
  const scale = canvas.clientWidth / canvas.width;
  cursor.style.left = position[0] * scale + "px";
  cursor.style.top = position[1] * scale + "px";
  cursor.style.width = cursor.style.height = find("size").value + "px";
  cursor.classList.toggle("painting", currentStroke !== null);
}

function updateValue() {
  props.value = strokes.length ? find("strokes").toDataURL("image/png") : "";
}

function startStroke() {
  currentStroke = { width: brushWidth(), isErasing, points: [[...position]] };
  strokes.push(currentStroke);
  drawStrokes();
}

function endStroke() {
  if (currentStroke === null) return;
  currentStroke = null;
  updateValue();
}

function moveBrush(to) {
  position = to;
  if (currentStroke !== null) {
    currentStroke.points.push([...position]);
    drawStrokes();
  }
  updateCursor();
}

function pointerPosition(event) {
  const canvas = find("strokes");
  const box = canvas.getBoundingClientRect();
  return [
    ((event.clientX - box.left) * canvas.width) / box.width,
    ((event.clientY - box.top) * canvas.height) / box.height,
  ];
}

function reset() {
  strokes = [];
  currentStroke = position = null;
  drawStrokes();
  updateCursor();
}

function loadPhoto() {
  const photo = find("photo");
  const canvas = find("strokes");
  find("frame").hidden = !props.image;
  find("empty").hidden = Boolean(props.image);
  reset();
  if (!props.image) return;
  photo.onload = () => {
    canvas.width = photo.naturalWidth;
    canvas.height = photo.naturalHeight;
    const width = (560 * canvas.width) / canvas.height;
    find("frame").style.width = `min(100%, ${width}px)`;
    reset();
  };
  photo.src = props.image;
}

const ARROWS = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

function handleKey(event) {
  const canvas = find("strokes");
  if (position === null) position = [canvas.width / 2, canvas.height / 2];
  const arrow = ARROWS[event.key];
  if (arrow) {
    const step = event.shiftKey ? 1 : Math.max(1, brushWidth() / 2);
    const clamp = (x, limit) => Math.min(Math.max(x, 0), limit);
    moveBrush([
      clamp(position[0] + step * arrow[0], canvas.width),
      clamp(position[1] + step * arrow[1], canvas.height),
    ]);
  } else if (event.key === " ") {
    currentStroke === null ? startStroke() : endStroke();
    updateCursor();
  } else {
    return;
  }
  event.preventDefault();
}

const canvas = find("strokes");
canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  endStroke();
  canvas.setPointerCapture(event.pointerId);
  position = pointerPosition(event);
  startStroke();
  updateCursor();
});
canvas.addEventListener("pointermove", (event) => moveBrush(pointerPosition(event)));
canvas.addEventListener("pointerup", () => (endStroke(), updateCursor()));
canvas.addEventListener("pointercancel", () => (endStroke(), updateCursor()));
canvas.addEventListener("pointerleave", () => {
  if (currentStroke === null) position = null;
  updateCursor();
});
canvas.addEventListener("keydown", handleKey);
canvas.addEventListener("focus", () => {
  if (position === null) position = [canvas.width / 2, canvas.height / 2];
  updateCursor();
});
canvas.addEventListener("blur", () => {
  endStroke();
  position = null;
  updateCursor();
});
find("size").addEventListener("input", updateCursor);
find("erase").addEventListener("click", (event) => {
  isErasing = !isErasing;
  event.currentTarget.setAttribute("aria-pressed", String(isErasing));
});
find("undo").addEventListener("click", () => {
  strokes.pop();
  drawStrokes();
  updateValue();
});
find("clear").addEventListener("click", () => {
  reset();
  updateValue();
});
watch("image", loadPhoto);
loadPhoto();
