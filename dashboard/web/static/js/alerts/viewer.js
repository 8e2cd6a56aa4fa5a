// A picture that can be zoomed and moved: wheel, pinch, drag and keys.

const ZOOM_MAX = 24;
const STEP = 1.3; // of a key or a button
const WHEEL = 0.0016; // share of a zoom for each pixel of the wheel
const MOVE_PX = 60; // of a key
const BOX_SHARE = 0.35; // of the view that a box fills when it is zoomed to

export class Viewer {
  /** view: the window; canvas: what is moved in it; onChange: called with the zoom. */
  constructor(view, canvas, onChange) {
    Object.assign(this, { view, canvas, onChange, zoom: 1, x: 0, y: 0, pointers: new Map() });
    view.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY * WHEEL), event.clientX, event.clientY);
    }, { passive: false });
    view.addEventListener("pointerdown", (event) => this.#press(event));
    view.addEventListener("pointermove", (event) => this.#drag(event));
    for (const kind of ["pointerup", "pointercancel"]) {
      view.addEventListener(kind, (event) => this.pointers.delete(event.pointerId));
    }
    view.addEventListener("dblclick", (event) => {
      if (this.zoom > 1) this.fit();
      else this.zoomBy(3, event.clientX, event.clientY);
    });
    new ResizeObserver(() => this.#place()).observe(view);
  }

  /** Zoom around a point of the window; without one, around the middle. */
  zoomBy(factor, clientX = null, clientY = null) {
    const frame = this.view.getBoundingClientRect();
    const px = clientX === null ? frame.width / 2 : clientX - frame.left;
    const py = clientY === null ? frame.height / 2 : clientY - frame.top;
    const zoom = Math.min(ZOOM_MAX, Math.max(1, this.zoom * factor));
    this.x = px - ((px - this.x) * zoom) / this.zoom;
    this.y = py - ((py - this.y) * zoom) / this.zoom;
    this.zoom = zoom;
    this.#place();
  }

  zoomIn() { this.zoomBy(STEP); }

  zoomOut() { this.zoomBy(1 / STEP); }

  fit() {
    Object.assign(this, { zoom: 1, x: 0, y: 0 });
    this.#place();
  }

  move(dx, dy) {
    this.x += dx * MOVE_PX;
    this.y += dy * MOVE_PX;
    this.#place();
  }

  /** Show a box large; shares of the picture, whose sides are width and height. */
  zoomTo([x1, y1, x2, y2], width, height) {
    const { clientWidth: w, clientHeight: h } = this.view;
    const scale = Math.min(w / width, h / height); // the picture is fitted into the view
    const [left, top] = [(w - width * scale) / 2, (h - height * scale) / 2];
    const wide = Math.max((x2 - x1) * width * scale, 1);
    const high = Math.max((y2 - y1) * height * scale, 1);
    this.zoom = Math.min(ZOOM_MAX, Math.max(1, BOX_SHARE * Math.min(w / wide, h / high)));
    this.x = w / 2 - (left + ((x1 + x2) / 2) * width * scale) * this.zoom;
    this.y = h / 2 - (top + ((y1 + y2) / 2) * height * scale) * this.zoom;
    this.#place();
  }

  #place() {
    const { clientWidth: w, clientHeight: h } = this.view;
    this.x = Math.min(0, Math.max(w - w * this.zoom, this.x));
    this.y = Math.min(0, Math.max(h - h * this.zoom, this.y));
    this.canvas.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.zoom})`;
    this.canvas.style.setProperty("--zoom", this.zoom); // strokes and labels keep their size
    this.onChange(this.zoom);
  }

  #press(event) {
    this.view.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
  }

  #drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, now);
    if (!other) {
      this.x += now[0] - before[0];
      this.y += now[1] - before[1];
      this.#place();
      return;
    }
    const distance = (a) => Math.hypot(a[0] - other[0], a[1] - other[1]);
    const middle = [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2];
    this.zoomBy(distance(now) / Math.max(distance(before), 1), ...middle);
  }
}
