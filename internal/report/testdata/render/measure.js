// Measures the pages that the test shows in frames, and leaves the result where --dump-dom prints it.
function channel(c) {
  c /= 255;
  return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
}

function color(css) {
  const [r, g, b, a = 1] = css.match(/[\d.]+/g).map(Number);
  return { a, luminance: 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b) };
}

// background returns that of the nearest element that has one.
function background(view, element) {
  for (; element; element = element.parentElement) {
    const c = color(view.getComputedStyle(element).backgroundColor);
    if (c.a > 0) return c.luminance;
  }
  return NaN;
}

// faint returns the text that has less than the contrast of WCAG 2.2, 1.4.3 (AA).
function faint(view, document) {
  const found = [];
  let texts = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), element = walker.currentNode.parentElement;
    if (!text) continue;
    texts++;
    const a = color(view.getComputedStyle(element).color).luminance, b = background(view, element);
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (!(contrast >= 4.5)) found.push(contrast.toFixed(2) + ": " + text.slice(0, 60));
  }
  return { texts, found };
}

addEventListener("load", () => {
  const results = [...document.querySelectorAll("iframe")].map((frame) => {
    const view = frame.contentWindow, page = frame.contentDocument;
    const { texts, found } = faint(view, page);
    return {
      Name: frame.title,
      Width: page.documentElement.clientWidth,
      Needed: page.documentElement.scrollWidth,
      Dark: view.matchMedia("(prefers-color-scheme:dark)").matches,
      Page: background(view, page.body),
      Texts: texts,
      Faint: found,
    };
  });
  document.body.innerHTML = "";
  const pre = document.createElement("pre");
  pre.textContent = JSON.stringify(results);
  document.body.append(pre);
});
