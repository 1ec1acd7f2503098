#!/usr/bin/env bash
# Pages in a browser: tests/page.sh PAGE.html..
#
# Each page passes html-validate, and axe-core (WCAG 2 A and AA, best practices) in Chromium in both themes, with every
# `<details>` open; nothing is wider than a phone; nothing asks the network; the page is under 3 MB. With SHOTS=FOLDER the
# screenshots stay. Needs node, npm, chromium. Prints `N passed, N failed`.
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: $0 PAGE.html.." >&2; exit 2; }
pages=(); for page in "$@"; do pages+=("$(realpath "$page")"); done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
modules=${NPM_MODULES:-$work}
[ -d "$modules/node_modules/axe-core" ] || (cd "$modules" && npm init -y >/dev/null && npm install --no-audit --no-fund --silent html-validate@10.17.0 axe-core@4.14.1 puppeteer-core@24.43.1)
cat >"$work/.htmlvalidate.json" <<'J'
{ "root": true, "extends": ["html-validate:recommended"], "rules": { "long-title": "off", "no-inline-style": "off" } }
J
passed=0 failed=0
for page in "${pages[@]}"; do
  if "$modules/node_modules/.bin/html-validate" --config "$work/.htmlvalidate.json" "$page"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "failed: html-validate of $page"; fi
done
cat >"$work/look.js" <<'JS'
const [modules, chromium, shots, ...pages] = process.argv.slice(2)
const puppeteer = require(modules + '/node_modules/puppeteer-core')
const fs = require('fs'), path = require('path')
const axe = fs.readFileSync(modules + '/node_modules/axe-core/axe.min.js', 'utf8')
const sizes = { desk: [1280, 900], phone: [390, 844] }
let passed = 0, failed = 0
const check = (what, found) => { if (found.length === 0) passed++; else { failed++; console.log(`failed: ${what}\n  ${found.slice(0, 12).join('\n  ')}`) } }
const main = async () => {
  const browser = await puppeteer.launch({ executablePath: chromium, args: ['--no-sandbox', '--force-color-profile=srgb'] })
  for (const file of pages) {
    const name = path.basename(file, '.html')
    check(`${name} is under 3 MB`, fs.statSync(file).size < 3e6 ? [] : [`${fs.statSync(file).size} bytes`])
    for (const theme of ['light', 'dark']) for (const [size, [width, height]] of Object.entries(sizes)) {
      const page = await browser.newPage()
      const asked = []
      page.on('request', request => { if (!request.url().startsWith('file:') && !request.url().startsWith('data:')) asked.push(request.url()) })
      await page.setViewport({ width, height })
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: theme }])
      await page.setBypassCSP(true)
      await page.goto('file://' + file)
      if (shots) await page.screenshot({ path: `${shots}/${name}-${theme}-${size}.png`, fullPage: true })
      check(`${name} asks no network`, asked)
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
      check(`${name} ${size} fits its width`, wide > 0 ? [`${wide} pixels too wide`] : [])
      await page.evaluate(() => document.querySelectorAll('details').forEach(details => { details.open = true }))
      await page.evaluate(axe)
      const found = await page.evaluate(() => axe.run({ resultTypes: ['violations'] }))
      check(`${name} ${theme} ${size}: axe`, found.violations.map(v => `${v.id}: ${v.help}; ${v.nodes.length} times, first ${v.nodes[0].target} ${v.nodes[0].failureSummary.replace(/\s+/g, ' ')}`))
      await page.close()
    }
  }
  await browser.close()
  console.log(`${passed} passed, ${failed} failed`)
  process.exit(failed ? 1 : 0)
}
main().catch(error => { console.error(error); process.exit(1) })
JS
node "$work/look.js" "$modules" "${CHROMIUM:-$(command -v chromium)}" "${SHOTS:-}" "${pages[@]}" || failed=$((failed + 1))
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
