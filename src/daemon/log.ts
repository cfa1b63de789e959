/**
 * The server's log on standard error: a line of text for people and journals, or JSON lines with --log-json. Written
 * synchronously: it is a few lines an hour, and the last one before a crash must not be lost. Never on the way of I/O.
 */

import { writeSync } from 'node:fs';
import pino from 'pino';

export type ServerLog = pino.Logger;

const STDERR = 2;

export function serverLog(json: boolean): ServerLog {
  const options: pino.LoggerOptions = {
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  };
  return pino(options, { write: (line) => write(json ? line : shortLine(line)) });
}

/** `2026-11-22T19:18:17.123Z warning v1: Drive 3 failed. kind=drive-failed` */
function shortLine(line: string): string {
  const {
    time,
    level,
    msg,
    volume,
    pid: _pid,
    ...rest
  } = JSON.parse(line) as Record<string, unknown>;
  const about = typeof volume === 'string' && volume !== '' ? `${volume}: ` : '';
  const fields = Object.entries(rest).map(
    ([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${String(time)} ${String(level)} ${about}${String(msg)}${fields.join('')}\n`;
}

/** A reader that has gone away must not end the server. */
function write(text: string): void {
  try {
    writeSync(STDERR, text);
  } catch {
    // EPIPE or EAGAIN: there is nobody to tell.
  }
}
