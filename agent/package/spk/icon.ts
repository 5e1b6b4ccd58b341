// The icon, drawn: an envelope that crosses the water. PNG (RFC 2083) with 8 bits of red, green, blue and alpha.
import { crc32, deflateSync } from 'node:zlib';

type Colour = readonly [red: number, green: number, blue: number];
/** Undefined: transparent. Coordinates from 0 to 1. */
type Picture = (x: number, y: number) => Colour | undefined;

const sky: Colour = [20, 74, 124];
const water: Colour = [34, 139, 176];
const foam: Colour = [122, 203, 222];
const paper: Colour = [252, 250, 244];
const fold: Colour = [193, 203, 212];

/** One point is asked in so many rows and columns; the middle of the answers makes edges smooth. */
const samples = 4;

const picture: Picture = (x, y) => {
  if (!isInRounded(x, y, { left: 0.02, top: 0.02, right: 0.98, bottom: 0.98, radius: 0.2 })) return undefined;
  const wave = 0.7 + 0.022 * Math.sin(x * 4 * Math.PI);
  if (y > wave + 0.1) return water;
  if (y > wave + 0.065) return foam;
  if (y > wave) return water;
  const envelope = { left: 0.2, top: 0.27, right: 0.8, bottom: 0.76, radius: 0.035 };
  if (!isInRounded(x, y, envelope)) return sky;
  // The flap: two lines from the upper corners to the middle.
  const flap = 0.29 + (0.5 - Math.abs(x - 0.5)) * 0.72 - 0.144;
  return Math.abs(y - flap) < 0.018 ? fold : paper;
};

type Box = {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  readonly radius: number;
};

function isInRounded(x: number, y: number, { left, top, right, bottom, radius }: Box): boolean {
  const dx = Math.max(left + radius - x, 0, x - (right - radius));
  const dy = Math.max(top + radius - y, 0, y - (bottom - radius));
  return dx * dx + dy * dy <= radius * radius;
}

/** A square of `size` points. */
export function drawIcon(size: number): Buffer {
  const row = 1 + size * 4;
  const pixels = Buffer.alloc(size * row); // each row begins with the number of its filter: 0, none
  for (let y = 0; y < size; y += 1) for (let x = 0; x < size; x += 1) pixels.set(mix(x, y, size), y * row + 1 + x * 4);
  const head = Buffer.alloc(13);
  head.writeUInt32BE(size, 0);
  head.writeUInt32BE(size, 4);
  head.set([8, 6, 0, 0, 0], 8); // bits, RGBA, and the only ways to pack, filter and interlace
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(pixels, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function mix(column: number, row: number, size: number): readonly number[] {
  const sum = [0, 0, 0];
  let covered = 0;
  for (let index = 0; index < samples * samples; index += 1) {
    const x = (column + ((index % samples) + 0.5) / samples) / size;
    const y = (row + (Math.floor(index / samples) + 0.5) / samples) / size;
    const colour = picture(x, y);
    if (colour === undefined) continue;
    covered += 1;
    for (const [part, value] of colour.entries()) sum[part] = (sum[part] ?? 0) + value;
  }
  if (covered === 0) return [0, 0, 0, 0];
  return [...sum.map((value) => Math.round(value / covered)), Math.round((255 * covered) / (samples * samples))];
}

function chunk(name: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

/** Undefined when it is no PNG. */
export function readPngSize(bytes: Buffer): { readonly width: number; readonly height: number } | undefined {
  if (bytes.length < 24 || bytes.toString('latin1', 1, 4) !== 'PNG' || bytes.toString('latin1', 12, 16) !== 'IHDR')
    return undefined;
  return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
}
