// Adds to the drawings what a still picture cannot do. Works on what is in the page; asks for nothing.
(function () {
'use strict';
const tip = document.createElement('div');
tip.id = 'tip'; tip.hidden = true; document.body.append(tip);
const make = (name, attributes, text) => {
  const e = document.createElementNS(document.querySelector('svg').namespaceURI, name);
  for (const k in attributes) e.setAttribute(k, attributes[k]);
  if (text !== undefined) e.textContent = text;
  return e;
};
const num = (e, k) => parseFloat(e.getAttribute(k));
document.querySelectorAll('.hint').forEach(e => { e.hidden = false; });

// Hover: the nearest mark tells what its title says.
function hover(svg) {
  const marks = [...svg.querySelectorAll('title')].map(t => {
    const e = t.parentNode, text = t.textContent;
    e.setAttribute('aria-label', text); t.remove();
    return { e, text };
  });
  let hot = null;
  const leave = () => { tip.hidden = true; if (hot) hot.classList.remove('hot'); hot = null; };
  svg.addEventListener('pointerleave', leave);
  svg.addEventListener('pointermove', event => {
    let best = null, least = 18;
    for (const m of marks) {
      if (m.e.closest('.hidden')) continue;
      const b = m.e.getBoundingClientRect();
      const dx = Math.max(b.left - event.clientX, 0, event.clientX - b.right);
      const dy = Math.max(b.top - event.clientY, 0, event.clientY - b.bottom);
      const d = Math.hypot(dx, dy);
      if (d < least) { least = d; best = m; }
    }
    leave();
    if (!best) return;
    hot = best.e; hot.classList.add('hot');
    tip.textContent = best.text; tip.hidden = false;
    const w = tip.offsetWidth, h = tip.offsetHeight;
    tip.style.left = Math.min(event.clientX + 14, innerWidth - w - 8) + 'px';
    tip.style.top = (event.clientY + 18 + h > innerHeight ? event.clientY - h - 12 : event.clientY + 18) + 'px';
  });
}

// Legends: a click hides or shows a series.
function legend(svg) {
  svg.querySelectorAll('.key').forEach(key => key.addEventListener('click', () => {
    const off = key.classList.toggle('off');
    svg.querySelectorAll('.series').forEach(s => {
      if (s.dataset.s === key.dataset.s) s.classList.toggle('hidden', off);
    });
  }));
}

// Zoom: a box drawn with the pointer fills the plot; a double click goes back.
function zoom(svg) {
  if (!svg.dataset.plot) return;
  const [X, Y, W, H] = svg.dataset.plot.split(' ').map(Number);
  const xs = svg.dataset.x.split(' ').map(Number), ys = svg.dataset.y.split(' ').map(Number);
  const moves = svg.querySelector('.moves'), first = svg.querySelector('.ticks');
  let view = [X, X + W, Y, Y + H], own = null, box = null, from = null;
  const parts = [...moves.querySelectorAll('circle,line,polyline,text')].map(e => {
    const lost = e.closest('.lost') !== null;
    if (e.tagName === 'polyline') return { e, points: e.getAttribute('points').split(' ').map(p => p.split(',').map(Number)) };
    if (e.tagName === 'circle') return { e, lost, x: ['cx'], y: ['cy'], at: [num(e, 'cx'), num(e, 'cy')] };
    if (e.tagName === 'text') {
      const side = e.getAttribute('text-anchor') === 'end' ? -7 : 7, down = num(e, 'data-down');
      return { e, lost, side, down, at: [num(e, 'x') - side, num(e, 'y') - down] };
    }
    const p = ['x1', 'y1', 'x2', 'y2'].map(k => num(e, k));
    return { e, lost, line: p, stiff: lost || e.classList.contains('cap') };
  });
  const px = x => X + (x - view[0]) / (view[1] - view[0]) * W;
  const py = y => Y + (y - view[2]) / (view[3] - view[2]) * H;
  const value = (t, s) => s[2] ? s[0] * Math.pow(s[1] / s[0], t) : s[0] + (s[1] - s[0]) * t;
  const place = (v, s) => s[2] ? Math.log(v / s[0]) / Math.log(s[1] / s[0]) : (v - s[0]) / (s[1] - s[0]);
  const round = (low, high, n) => {
    const rough = (high - low) / n, power = Math.pow(10, Math.floor(Math.log10(rough))), part = rough / power;
    const step = (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10) * power, out = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; ++k) out.push(k * step);
    return out;
  };
  const text = v => { const s = String(parseFloat(v.toPrecision(5))); return s === '-0' ? '0' : s; };
  function ticks() {
    if (own) own.remove();
    own = make('g', { class: 'ticks' });
    const xt = [value((view[0] - X) / W, xs), value((view[1] - X) / W, xs)];
    const yt = [value((Y + H - view[3]) / H, ys), value((Y + H - view[2]) / H, ys)];
    for (const v of round(yt[0], yt[1], 6)) {
      const y = py(Y + H - place(v, ys) * H);
      own.append(make('line', { x1: X, x2: X + W, y1: y, y2: y, class: 'grid' }));
      own.append(make('text', { x: X - 8, y: y + 4, 'text-anchor': 'end', class: 'tick' }, text(v)));
    }
    for (const v of round(xt[0], xt[1], 8)) {
      const x = px(X + place(v, xs) * W);
      own.append(make('line', { x1: x, x2: x, y1: Y, y2: Y + H, class: 'grid' }));
      own.append(make('text', { x: x, y: Y + H + 17, 'text-anchor': 'middle', class: 'tick' }, text(v)));
    }
    first.after(own); first.classList.add('hidden');
  }
  function show() {
    for (const p of parts) {
      if (p.points) p.e.setAttribute('points', p.points.map(q => px(q[0]).toFixed(2) + ',' + py(q[1]).toFixed(2)).join(' '));
      else if (p.line) {
        const [x1, y1, x2, y2] = p.line, mx = (x1 + x2) / 2, my = (y1 + y2) / 2;
        const dx = px(mx) - mx, dy = p.lost ? 0 : py(my) - my;
        const to = p.stiff ? [x1 + dx, y1 + dy, x2 + dx, y2 + dy] : [px(x1), py(y1), px(x2), py(y2)];
        ['x1', 'y1', 'x2', 'y2'].forEach((k, i) => p.e.setAttribute(k, to[i]));
      } else if (p.side) { p.e.setAttribute('x', px(p.at[0]) + p.side); p.e.setAttribute('y', py(p.at[1]) + p.down); }
      else { p.e.setAttribute('cx', px(p.at[0])); p.e.setAttribute('cy', p.lost ? p.at[1] : py(p.at[1])); }
    }
    const whole = view[0] === X && view[1] === X + W && view[2] === Y && view[3] === Y + H;
    if (whole) { if (own) own.remove(); own = null; first.classList.remove('hidden'); } else ticks();
  }
  const at = event => {
    const m = svg.getScreenCTM().inverse(), p = new DOMPoint(event.clientX, event.clientY).matrixTransform(m);
    return [Math.min(Math.max(p.x, X), X + W), Math.min(Math.max(p.y, Y), Y + H)];
  };
  svg.addEventListener('pointerdown', event => {
    if (event.button !== 0 || event.target.closest('.key')) return;
    from = at(event); svg.setPointerCapture(event.pointerId); event.preventDefault();
  });
  svg.addEventListener('pointermove', event => {
    if (!from) return;
    if (!box) { box = make('rect', { class: 'box' }); svg.append(box); }
    const to = at(event);
    box.setAttribute('x', Math.min(from[0], to[0])); box.setAttribute('width', Math.abs(from[0] - to[0]));
    box.setAttribute('y', Math.min(from[1], to[1])); box.setAttribute('height', Math.abs(from[1] - to[1]));
  });
  svg.addEventListener('pointerup', event => {
    if (!from) return;
    const to = at(event), start = from; from = null;
    if (box) box.remove(); box = null;
    if (Math.abs(start[0] - to[0]) < 8 || Math.abs(start[1] - to[1]) < 8) return;
    const back = (v, o, size, a, b) => a + (v - o) / size * (b - a);
    const x = [start[0], to[0]].sort((a, b) => a - b).map(v => back(v, X, W, view[0], view[1]));
    const y = [start[1], to[1]].sort((a, b) => a - b).map(v => back(v, Y, H, view[2], view[3]));
    view = [x[0], x[1], y[0], y[1]]; show();
  });
  svg.addEventListener('dblclick', () => { view = [X, X + W, Y, Y + H]; show(); });
}
document.querySelectorAll('svg.chart').forEach(svg => { hover(svg); legend(svg); zoom(svg); });
})();
