// Functions of the front end that need no page. The views themselves are tested in a browser, by tests/browser.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

const STATIC = new URL("../../stocklean_exec/static/", import.meta.url);

/** Load a view as the kernel sends it, common.js before its own file, and return some of its names. */
async function load(file, ...names) {
  const parts = await Promise.all(["common.js", file].map((name) => readFile(new URL(name, STATIC), "utf-8")));
  const script = `${parts.join("")}\nexport { ${names.join(", ")} };`;
  return import(`data:text/javascript,${encodeURIComponent(script)}`);
}

const { show, crc32, compareCells, age, marginNote } = await load("review.js", "show", "crc32", "compareCells", "age", "marginNote");
const { clockTime } = await load("live.js", "clockTime");

const checksum = (...parts) => {
  const encoder = new TextEncoder();
  const crc = parts.reduce((sum, part) => crc32(encoder.encode(part), sum), 0xffffffff);
  return (crc ^ 0xffffffff) >>> 0;
};

test("the checksum is CRC-32: its check value, and others that are published", () => {
  assert.equal(checksum("123456789"), 0xcbf43926);
  assert.equal(checksum("The quick brown fox jumps over the lazy dog"), 0x414fa339);
  assert.equal(checksum(""), 0);
});

test("the checksum of parts is that of the whole", () => {
  assert.equal(checksum("1234", "", "56789"), 0xcbf43926);
});

test("each kind of value is formatted for display", () => {
  assert.equal(show(0.12345, "weight"), "12.35 %");
  assert.equal(show(0.5, "weight"), "50.00 %");
  assert.equal(show(-1234.5, "money"), "-1,234.50");
  assert.equal(show(99.5, "price"), "99.50");
  assert.equal(show(0.0001234, "price"), "0.000123");
  assert.equal(show(1200, "shares"), "1,200");
  assert.equal(show(0.25), "0.25");
});

test("unknown values are shown as an empty text, and texts unchanged", () => {
  assert.equal(show(null, "money"), "");
  assert.equal(show(undefined, "price"), "");
  assert.equal(show("MKT", "choice"), "MKT");
  assert.equal(show(false, "text"), "false");
});

const sorted = (values, direction) => [...values].sort((one, other) => compareCells(one, other, direction));

test("numbers are sorted by size and texts by their letters, in both directions", () => {
  assert.deepEqual(sorted([10, 9, -1, 100], 1), [-1, 9, 10, 100]);
  assert.deepEqual(sorted([10, 9, -1, 100], -1), [100, 10, 9, -1]);
  assert.deepEqual(sorted(["SPY", "KO", "TLT"], 1), ["KO", "SPY", "TLT"]);
  assert.deepEqual(sorted(["SPY", "KO", "TLT"], -1), ["TLT", "SPY", "KO"]);
});

test("unknown values come last in both directions, and equal values are equal", () => {
  assert.deepEqual(sorted([null, 2, null, 1], 1), [1, 2, null, null]);
  assert.deepEqual(sorted([null, 2, null, 1], -1), [2, 1, null, null]);
  assert.equal(compareCells(null, null, -1), 0);
  assert.equal(compareCells("KO", "KO", 1), 0);
});

test("times are shown in UTC, and invalid ones not at all", () => {
  assert.equal(clockTime("2026-11-23T17:00:05.250+01:00"), "16:00:05");
  assert.equal(clockTime(null), "");
  assert.equal(clockTime("yesterday"), "");
});

test("ages are told in the largest unit of which there are two", () => {
  assert.deepEqual([-1, 0, 119.9, 120, 7199, 7200, 172799, 172800].map(age), [
    "0 s", "0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d",
  ]);
});

test("what the margin rests on is told with coverage and age", () => {
  assert.equal(
    marginNote({ orders: 3, previewed: 1, oldest: 1000 }, 1240),
    "Margin: 1 of 3 orders by the broker's preview, the oldest 4 min old. The others count with what Regulation T asks. " +
      "What a sale frees is not counted.",
  );
  assert.equal(
    marginNote({ orders: 2, previewed: 2, oldest: null }, 0),
    "Margin: 2 of 2 orders by the broker's preview. What a sale frees is not counted.",
  );
  assert.ok(marginNote({ orders: 2, previewed: 0, oldest: null }, 0).startsWith("Margin: 0 of 2 orders by the broker's preview. The"));
});
