'use strict';
// Comfort only: without this script the page says the same.
(() => {
  const all = (selector, root) => [...(root || document).querySelectorAll(selector)];
  const make = (tag, classes, text, parent) => {
    const element = document.createElement(tag);
    if (classes) element.className = classes;
    if (text) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  };
  const button = (text, parent, act) => {
    const made = make('button', '', text, parent);
    made.type = 'button';
    made.addEventListener('click', () => act(made));
    return made;
  };

  // Light or dark, for as long as the page is open.
  const root = document.documentElement;
  const top = document.querySelector('.top');
  const isDark = () => root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  button(isDark() ? 'Light' : 'Dark', top, (made) => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    made.textContent = isDark() ? 'Light' : 'Dark';
  });

  // A printed page shows everything that is folded.
  let folded = [];
  addEventListener('beforeprint', () => {
    folded = all('details:not([open])');
    folded.forEach((one) => { one.open = true; });
  });
  addEventListener('afterprint', () => folded.forEach((one) => { one.open = false; }));

  all('.command').forEach((block) => {
    const text = block.textContent;
    const made = button('Copy', block, () => {
      const say = (word) => { made.textContent = word; setTimeout(() => { made.textContent = 'Copy'; }, 1500); };
      const select = () => { getSelection().selectAllChildren(block.firstChild); say('Selected'); };
      if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => say('Copied'), select);
      else select();
    });
    made.className = 'copy';
    made.setAttribute('aria-label', 'Copy the command');
  });

  // Tables: sorted by a heading, filtered by words.
  const value = (row, column) => {
    const text = row.cells[column] ? row.cells[column].textContent.trim() : '';
    const number = text === 'inf' ? Infinity : parseFloat(text);
    return { text, number };
  };
  const compare = (a, b, isNumber) => {
    if (!isNumber) return a.text.localeCompare(b.text, 'en', { numeric: true });
    if (isNaN(a.number) || isNaN(b.number)) return isNaN(a.number) - isNaN(b.number);
    return a.number - b.number;
  };
  all('.scroll table').forEach((table) => {
    const body = table.tBodies[0];
    if (body.rows.length < 3) return;
    all('thead th', table).forEach((head, column) => {
      const name = head.textContent;
      if (!name) return;
      head.textContent = '';
      button(name, head, () => {
        const down = head.getAttribute('aria-sort') === 'ascending';
        all('thead th', table).forEach((other) => other.removeAttribute('aria-sort'));
        head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
        const rows = [...body.rows].map((row) => ({ row, key: value(row, column) }));
        rows.sort((a, b) => (down ? -1 : 1) * compare(a.key, b.key, head.classList.contains('n')));
        body.append(...rows.map((one) => one.row));
      });
    });
    if (body.rows.length < 12) return;
    const tools = make('div', 'tools');
    const find = make('input', 'find', '', tools);
    const count = make('span', 'lead', '', tools);
    find.type = 'search';
    find.placeholder = 'Filter the rows by words';
    find.size = 28;
    find.setAttribute('aria-label', 'Filter the rows of ' + table.parentNode.getAttribute('aria-label'));
    count.setAttribute('role', 'status');
    find.addEventListener('input', () => {
      const words = find.value.toLowerCase().split(/\s+/);
      let shown = 0;
      for (const row of body.rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = shown + ' of ' + body.rows.length;
    });
    table.parentNode.before(tools);
  });

  // Charts: one stop of the Tab key each; arrows walk the points, Escape ends.
  const tip = make('div', 'tip', '', document.body);
  tip.hidden = true;
  tip.setAttribute('role', 'status');
  const hide = () => {
    tip.hidden = true;
    all('.at').forEach((one) => one.classList.remove('at'));
  };
  const show = (point) => {
    hide();
    point.classList.add('at');
    tip.textContent = point.dataset.tip;
    tip.hidden = false;
    const box = point.getBoundingClientRect();
    const left = box.left + box.width / 2 - tip.offsetWidth / 2;
    tip.style.left = Math.max(8, Math.min(left, innerWidth - tip.offsetWidth - 8)) + 'px';
    const top = box.top > tip.offsetHeight + 12 ? box.top - tip.offsetHeight - 8 : box.bottom + 8;
    tip.style.top = Math.max(8, Math.min(top, innerHeight - tip.offsetHeight - 8)) + 'px';
  };
  all('.plot').forEach((plot) => {
    const points = all('.pt', plot).filter((point) => {
      const title = point.querySelector('title');
      if (title) {
        point.dataset.tip = title.textContent;
        title.remove();
      }
      return title;
    });
    let at = -1;
    points.forEach((point, index) => {
      point.addEventListener('pointerenter', () => { at = index; show(point); });
      point.addEventListener('pointerleave', hide);
    });
    plot.addEventListener('keydown', (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === 'Escape') hide();
      else if (event.key === 'Home') at = 0;
      else if (event.key === 'End') at = points.length - 1;
      else if (step) at = (Math.max(at, step > 0 ? -1 : 0) + step + points.length) % points.length;
      else return;
      event.preventDefault();
      if (event.key === 'Escape' || !points[at]) return;
      points[at].scrollIntoView({ block: 'nearest', behavior: 'instant' });
      show(points[at]);
    });
    plot.addEventListener('blur', hide);
    if (points.length) plot.setAttribute('aria-description', 'Arrow keys walk its ' + points.length + ' points.');
    const series = all('.series', plot).filter((one) => !one.querySelector('.roof'));
    if (series.length < 3) return;
    const tools = make('div', 'tools');
    series.forEach((one) => {
      const made = button(one.dataset.name, tools, () => {
        const off = one.classList.toggle('off');
        made.setAttribute('aria-pressed', String(!off));
      });
      made.setAttribute('aria-pressed', 'true');
    });
    plot.after(tools);
  });
  addEventListener('keydown', (event) => { if (event.key === 'Escape') hide(); });
  addEventListener('scroll', () => { if (!document.activeElement.classList.contains('plot')) hide(); }, true);

  const unpack = async (data) => {
    if (data.type === 'application/json') return new Blob([data.textContent], { type: data.type });
    const bytes = Uint8Array.from(atob(data.textContent.trim()), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).blob();
  };
  all('script.results').forEach((data) => unpack(data).then((blob) => {
    const tools = make('div', 'tools');
    const link = make('a', '', 'Download the JSON', tools);
    link.href = URL.createObjectURL(blob);
    link.download = data.id + '.json';
    data.before(tools);
  }));
})();
