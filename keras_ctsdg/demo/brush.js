// A brush on a picture. `props.picture` is the picture as it is shown, a data URL;
// `props.value` what is painted over, a PNG of the same size, or "" for nothing.
const find = (name) => element.querySelector("." + name);
const COLOR = "#ff2d55";
let strokes = [];
let current = null; // The stroke that is being painted
let place = null; // Of the brush, in pixels of the picture
let erases = false;

function pixels() {
  // The brush is as wide as it looks, whatever the picture's size.
  const canvas = find("strokes");
  return (Number(find("size").value) * canvas.width) / (canvas.clientWidth || 1);
}

function draw() {
  const canvas = find("strokes");
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = COLOR;
  for (const stroke of strokes) {
    context.globalCompositeOperation = stroke.erases ? "destination-out" : "source-over";
    context.lineWidth = stroke.width;
    context.beginPath();
    // A line to where it is makes a dot of a lone point.
    context.moveTo(...stroke.points[0]);
    for (const point of stroke.points) context.lineTo(...point);
    context.stroke();
  }
}

function point_out() {
  const cursor = find("cursor");
  const canvas = find("strokes");
  cursor.hidden = place === null;
  if (place === null) return;
  const scale = canvas.clientWidth / canvas.width;
  cursor.style.left = place[0] * scale + "px";
  cursor.style.top = place[1] * scale + "px";
  cursor.style.width = cursor.style.height = find("size").value + "px";
  cursor.classList.toggle("down", current !== null);
}

function tell() {
  props.value = strokes.length ? find("strokes").toDataURL("image/png") : "";
}

function lower() {
  current = { width: pixels(), erases, points: [[...place]] };
  strokes.push(current);
  draw();
}

function lift() {
  if (current === null) return;
  current = null;
  tell();
}

function move(to) {
  place = to;
  if (current !== null) {
    current.points.push([...place]);
    draw();
  }
  point_out();
}

function under(event) {
  const canvas = find("strokes");
  const box = canvas.getBoundingClientRect();
  return [
    ((event.clientX - box.left) * canvas.width) / box.width,
    ((event.clientY - box.top) * canvas.height) / box.height,
  ];
}

function reset() {
  strokes = [];
  current = place = null;
  draw();
  point_out();
}

function load() {
  const picture = find("picture");
  const canvas = find("strokes");
  find("sheet").hidden = !props.picture;
  find("empty").hidden = Boolean(props.picture);
  reset();
  if (!props.picture) return;
  picture.onload = () => {
    canvas.width = picture.naturalWidth;
    canvas.height = picture.naturalHeight;
    const width = (560 * canvas.width) / canvas.height;
    find("sheet").style.width = `min(100%, ${width}px)`;
    reset();
  };
  picture.src = props.picture;
}

const ARROWS = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

function press(event) {
  const canvas = find("strokes");
  if (place === null) place = [canvas.width / 2, canvas.height / 2];
  const arrow = ARROWS[event.key];
  if (arrow) {
    const step = event.shiftKey ? 1 : Math.max(1, pixels() / 2);
    const keep = (x, top) => Math.min(Math.max(x, 0), top);
    move([
      keep(place[0] + step * arrow[0], canvas.width),
      keep(place[1] + step * arrow[1], canvas.height),
    ]);
  } else if (event.key === " ") {
    current === null ? lower() : lift();
    point_out();
  } else {
    return;
  }
  event.preventDefault();
}

const canvas = find("strokes");
canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  lift();
  canvas.setPointerCapture(event.pointerId);
  place = under(event);
  lower();
  point_out();
});
canvas.addEventListener("pointermove", (event) => move(under(event)));
canvas.addEventListener("pointerup", () => (lift(), point_out()));
canvas.addEventListener("pointercancel", () => (lift(), point_out()));
canvas.addEventListener("pointerleave", () => {
  if (current === null) place = null;
  point_out();
});
canvas.addEventListener("keydown", press);
canvas.addEventListener("focus", () => {
  if (place === null) place = [canvas.width / 2, canvas.height / 2];
  point_out();
});
canvas.addEventListener("blur", () => {
  lift();
  place = null;
  point_out();
});
find("size").addEventListener("input", point_out);
find("erase").addEventListener("click", (event) => {
  erases = !erases;
  event.currentTarget.setAttribute("aria-pressed", String(erases));
});
find("undo").addEventListener("click", () => {
  strokes.pop();
  draw();
  tell();
});
find("clear").addEventListener("click", () => {
  reset();
  tell();
});
watch("picture", load);
load();
