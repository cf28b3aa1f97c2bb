// Input and result over one another.
function setUpCompare() {
  const stage = byId("compare"), swipe = byId("swipe"), over = byId("over");
  const clip = () => { over.style.clipPath = `inset(0 ${100 - swipe.value}% 0 0)`; };
  swipe.addEventListener("input", clip);
  const drag = event => {
    const box = over.getBoundingClientRect();
    swipe.value = Math.round(100 * (event.clientX - box.left) / box.width);
    clip();
  };
  stage.addEventListener("pointerdown", event => { if (!over.hidden) { stage.setPointerCapture(event.pointerId); drag(event); } });
  stage.addEventListener("pointermove", event => { if (event.buttons && !over.hidden) drag(event); });
  clip();
}

/// Shows a blob in an image, and forgets the one before.
function show(image, blob) {
  const before = image.src;
  image.src = URL.createObjectURL(blob);
  image.hidden = false;
  if (before.startsWith("blob:")) URL.revokeObjectURL(before);
  return image.decode().then(() => image.classList.toggle("small", image.naturalWidth < 400)).catch(() => {});
}
