#!/usr/bin/env node
// `mailferry`: asks the agent on this machine.
import { text } from 'node:stream/consumers';
import { runCli } from './program.ts';

process.exitCode = await runCli(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  error: (text) => void process.stderr.write(text),
  folder: process.cwd(),
  now: () => Date.now(),
  isInteractive: process.stdin.isTTY && process.stdout.isTTY,
  readInput: () => text(process.stdin),
});
